/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file: any bytes, read as the server reads it, into a table with every type of
 * value. What is accepted lies in its row's range; what is not is refused by file and line. Each
 * value read can be written as text and read again.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "core/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    FILE_BYTES_MAX = 1 << 16,
    COUNT_MAX = 1000,
    BYTES_MIN = 4096,
    PATH_BYTES = 64,
    CHOICES = 3
};

struct settings {
    uint64_t size, wait_ms, wait_s, hours, count, all;
    bool on;
    char *text, *other;
    int choice;
};

static const char *const choices[CHOICES + 1] = {"debug", "info", "warn", NULL};

#define ROW_U64(member, name, low, high, unit)                                                     \
    {                                                                                              \
        name, KN_CONF_U64, offsetof(struct settings, member), low, high, high, NULL, NULL, unit,   \
            ""                                                                                     \
    }
static const struct kn_conf_key keys[] = {
    ROW_U64(size, "size_max", BYTES_MIN, 1ull << 40, "bytes"),
    ROW_U64(wait_ms, "wait_ms", 0, 86400000, "ms"),
    ROW_U64(wait_s, "wait_s", 1, 86400, "s"),
    ROW_U64(hours, "keep_hours", 0, 87600, "hours"),
    ROW_U64(count, "count_max", 1, COUNT_MAX, "count"),
    ROW_U64(all, "all", 0, UINT64_MAX, ""),
    {"on",    KN_CONF_BOOL,   offsetof(struct settings, on),     0, 0, 1, NULL,   NULL,    "", ""},
    {"text",  KN_CONF_TEXT,   offsetof(struct settings, text),   0, 0, 0, "none", NULL,    "", ""},
    {"other", KN_CONF_TEXT,   offsetof(struct settings, other),  0, 0, 0, "",     NULL,    "", ""},
    {"level", KN_CONF_CHOICE, offsetof(struct settings, choice), 0, 0, 1, NULL,   choices, "", ""},
};

static void check(const struct settings *s)
{
    kn_assert(s->size >= BYTES_MIN && s->size <= 1ull << 40);
    kn_assert(s->wait_ms <= 86400000);
    kn_assert(s->wait_s >= 1 && s->wait_s <= 86400);
    kn_assert(s->hours <= 87600);
    kn_assert(s->count >= 1 && s->count <= COUNT_MAX);
    kn_assert(s->choice >= 0 && s->choice < CHOICES);
    kn_assert(s->text && s->other && !strchr(s->text, '\n') && !strchr(s->text, '#'));
}

static void read_file(const char *path, struct settings *s, bool want_ok)
{
    const struct kn_conf_table table = {"fuzz", keys, KN_ARRAY_LEN(keys), s};
    struct kn_err err = {0};
    kn_assert(kn_conf_defaults(&table, 1) == 0);
    int r = kn_conf_read_file(&table, 1, path, &err);
    kn_assert(r == 0 || r == -EINVAL || r == -ENOENT || r == -ENOMEM);
    kn_assert(r == 0 || (!want_ok && strncmp(err.text, path, strlen(path)) == 0));
    check(s);
}

static void write_file(const char *path, const struct settings *s)
{
    FILE *file = fopen(path, "w");
    kn_assert(file);
    (void) fprintf(file,
                   "size-max = %" PRIu64 " b\nwait_ms=%" PRIu64 "ms\nwait_s = %" PRIu64
                   "\r\nkeep_hours = %" PRIu64 "h # kept\ncount_max=%" PRIu64 "\nall=%" PRIu64
                   "\non = %d\nlevel = %s\ntext = %s\nother=%s",
                   s->size, s->wait_ms, s->wait_s, s->hours, s->count, s->all, s->on,
                   choices[s->choice], s->text, s->other);
    kn_assert(fclose(file) == 0);
}

static bool same(const struct settings *a, const struct settings *b)
{
    return a->size == b->size && a->wait_ms == b->wait_ms && a->wait_s == b->wait_s &&
           a->hours == b->hours && a->count == b->count && a->all == b->all && a->on == b->on &&
           a->choice == b->choice && strcmp(a->text, b->text) == 0 &&
           strcmp(a->other, b->other) == 0;
}

static void done(struct settings *s)
{
    const struct kn_conf_table table = {"fuzz", keys, KN_ARRAY_LEN(keys), s};
    kn_conf_done(&table, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings once = {0}, twice = {0};
    char path[PATH_BYTES];
    if (size > FILE_BYTES_MAX)
        return 0;
    int fd = memfd_create("conf", MFD_CLOEXEC);
    kn_assert(fd >= 0 && write(fd, data, size) == (ssize_t) size);
    (void) snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    read_file(path, &once, false);
    write_file(path, &once);
    read_file(path, &twice, true);
    kn_assert(same(&once, &twice));
    done(&once);
    done(&twice);
    kn_assert(close(fd) == 0);
    return 0;
}
