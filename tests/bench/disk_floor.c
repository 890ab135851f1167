/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What uploads cost the disk at the least: only the system calls that a stream's start and its
 * fragments cannot do without, by one thread, nothing else. Prints one JSON object with CPU times.
 *
 *   disk_floor FOLDER --streams 1000 --fragments 10 --bytes 25200 [--group 25]
 *
 * A start: a file in the day's folder, which is there, with room reserved and its head written; the
 * folder flushed. An intent goes before it, appended to one file that is flushed for a group: a
 * database cannot do with less. A fragment: one write; of a group of files first all are told to
 * write back, and then each is flushed.
 */
#include "tool.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HEAD_BYTES = 2048,
    INTENT_BYTES = 4096, /* a page */
    RESERVED_BYTES = 4 << 20,
    BYTES_MAX = 1 << 20,
    PATH_BYTES_MAX = 4096,
};

static struct {
    const char *folder;
    uint64_t streams, fragments, bytes, group;
} options = {.streams = 1000, .fragments = 10, .bytes = 25200, .group = 25};

static uint8_t noise[BYTES_MAX];

static void path_of(char dst[PATH_BYTES_MAX], uint64_t stream, const char *rest)
{
    snprintf(dst, PATH_BYTES_MAX, "%s/%06llu%s", options.folder, (unsigned long long) stream, rest);
}

static void sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0 || close(fd) < 0)
        tool_die(path);
}

static void write_at(int fd, size_t bytes, uint64_t off)
{
    if (pwrite(fd, noise, bytes, (off_t) off) != (ssize_t) bytes)
        tool_die("write");
}

static void intend(int intents, uint64_t at, uint64_t count)
{
    for (uint64_t i = at; i < at + count; i++)
        write_at(intents, INTENT_BYTES, i * INTENT_BYTES);
    if (fdatasync(intents) < 0)
        tool_die("flush");
}

static int start(uint64_t stream)
{
    char path[PATH_BYTES_MAX];
    path_of(path, stream, "/day/chunk");
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, RESERVED_BYTES) < 0)
        tool_die(path);
    write_at(fd, HEAD_BYTES, 0);
    path_of(path, stream, "/day");
    sync_folder(path);
    return fd;
}

static void commit(const int *fds, size_t count, uint64_t off)
{
    for (size_t i = 0; i < count; i++)
        write_at(fds[i], options.bytes, off);
    for (size_t i = 0; i < count; i++)
        if (sync_file_range(fds[i], 0, 0, SYNC_FILE_RANGE_WRITE) < 0)
            tool_die("write back");
    for (size_t i = 0; i < count; i++)
        if (fdatasync(fds[i]) < 0)
            tool_die("flush");
}

static void read_options(int argc, char **argv)
{
    struct {
        const char *name;
        uint64_t *value;
    } numbers[] = {
        {"--streams",   &options.streams  },
        {"--fragments", &options.fragments},
        {"--bytes",     &options.bytes    },
        {"--group",     &options.group    },
    };
    options.folder = argc > 1 ? argv[1] : NULL;
    for (int i = 2; i + 1 < argc; i += 2)
        for (size_t k = 0; k < KN_ARRAY_LEN(numbers); k++)
            if (strcmp(argv[i], numbers[k].name) == 0)
                *numbers[k].value = tool_number(argv[i + 1]);
    if (!options.folder || options.bytes > BYTES_MAX || options.group == 0 || options.streams == 0)
        exit(2);
}

int main(int argc, char **argv)
{
    char path[PATH_BYTES_MAX];
    read_options(argc, argv);
    int *fds = calloc(options.streams, sizeof *fds);
    path_of(path, options.streams, "");
    int intents = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (!fds || intents < 0)
        tool_die(path);
    for (uint64_t i = 0; i < options.streams; i++) {
        path_of(path, i, "");
        if (mkdir(path, 0700) < 0)
            tool_die(path);
        path_of(path, i, "/day");
        if (mkdir(path, 0700) < 0)
            tool_die(path);
        path_of(path, i, "");
        sync_folder(path);
    }
    sync_folder(options.folder);

    int64_t before_ns = tool_cpu_ns(0);
    for (uint64_t i = 0; i < options.streams; i++) {
        if (i % options.group == 0)
            intend(intents, i, kn_min_u64(options.group, options.streams - i));
        fds[i] = start(i);
    }
    int64_t starts_ns = tool_cpu_ns(0) - before_ns;
    for (uint64_t n = 0; n < options.fragments; n++)
        for (uint64_t i = 0; i < options.streams; i += options.group)
            commit(fds + i, kn_min_u64(options.group, options.streams - i),
                   HEAD_BYTES + n * options.bytes);
    int64_t all_ns = tool_cpu_ns(0) - before_ns;
    double count = (double) options.streams, fragments = count * (double) options.fragments;
    printf("{\"start_us\":%.1f,\"fragment_us\":%.1f,\"cpu_s\":%.4f}\n",
           (double) starts_ns / 1e3 / count, (double) (all_ns - starts_ns) / 1e3 / fragments,
           (double) all_ns / 1e9);
    return 0;
}
