/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SDK's aggregated records for tests/api/test_68_aggregate.py, in lines of hexadecimal.
 *   aggregate make   reads "KEY HASHKEY DATA" lines ("-": none), writes "KEY HASHKEY RECORD" lines
 *   aggregate apart  reads "KEY HASHKEY RECORD" lines, writes "KEY HASHKEY DATA" lines
 */
#include "kinema/aggregate.h"

#include <errno.h>
#include <stdlib.h>

#include "core/crypto.h"
#include "core/err.h"

static void write_hex(const void *ptr, size_t len)
{
    const uint8_t *at = ptr;
    if (len == 0)
        putchar('-');
    for (size_t i = 0; i < len; i++)
        printf("%02x", at[i]);
}

static void write_line(const char *key, size_t key_len, const char *hash_key, size_t hash_key_len,
                       const void *data, size_t len)
{
    write_hex(key, key_len);
    putchar(' ');
    write_hex(hash_key, hash_key ? hash_key_len : 0);
    putchar(' ');
    write_hex(data, len);
    putchar('\n');
}

static int write_user(void *ctx, const struct kinema_user_record *r)
{
    (void) ctx;
    write_line(r->partition_key, r->partition_key_len, r->explicit_hash_key,
               r->explicit_hash_key_len, r->data, r->len);
    return 0;
}

static void write_record(struct kinema_aggregate *a)
{
    struct kinema_aggregate_record r;
    kn_assert(kinema_aggregate_finish(a, &r) == 0);
    write_line(r.partition_key, strlen(r.partition_key), r.explicit_hash_key,
               r.explicit_hash_key ? strlen(r.explicit_hash_key) : 0, r.data, r.len);
    kinema_aggregate_clear(a);
}

/* A word of a line in place, with a NUL behind it; *ret_len 0 for "-". */
static char *read_hex(char **at, size_t *ret_len)
{
    char *word = *at;
    size_t len = strcspn(word, " \n");
    *at = word + len + 1;
    *ret_len = 0;
    if (*word != '-') {
        kn_assert(kn_hex_decode((struct kn_str){word, len}, (uint8_t *) word, len / 2) == 0);
        *ret_len = len / 2;
    }
    word[*ret_len] = '\0';
    return word;
}

int main(int argc, char **argv)
{
    struct kinema_aggregate *a;
    char *line = NULL;
    size_t cap = 0;
    kn_assert(argc == 2 && kinema_aggregate_new(0, &a) == 0);
    bool make = strcmp(argv[1], "make") == 0;
    while (getline(&line, &cap, stdin) > 0) {
        char *at = line;
        size_t key_len, hash_key_len, len;
        char *key = read_hex(&at, &key_len), *hash_key = read_hex(&at, &hash_key_len);
        char *data = read_hex(&at, &len);
        if (!make) {
            kn_assert(kinema_deaggregate(data, len, key, write_user, NULL) == 0);
            continue;
        }
        int r = kinema_aggregate_add(a, key, hash_key_len ? hash_key : NULL, data, len);
        if (r == -ENOSPC) {
            write_record(a);
            r = kinema_aggregate_add(a, key, hash_key_len ? hash_key : NULL, data, len);
        }
        kn_assert(r == 0);
    }
    if (kinema_aggregate_count(a) > 0)
        write_record(a);
    kinema_aggregate_free(a);
    free(line);
    return 0;
}
