/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service may answer a producer with: acknowledgements come out the same however the bytes
 * are cut, and a search in JSON stays within what it was given.
 */
#include "text.h"

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    INPUT_BYTES_MAX = 16 << 10
};

struct seen {
    size_t count;
    uint64_t digest;
    int code;
};

static uint64_t mix(uint64_t digest, const void *ptr, size_t len)
{
    const uint8_t *at = ptr;
    for (size_t i = 0; i < len; i++)
        digest = (digest ^ at[i]) * UINT64_C(1099511628211);
    return digest ^ len;
}

/* All of it in pieces of at most step bytes, up to the first that makes no sense. */
static struct seen feed(const char *ptr, size_t len, size_t step)
{
    struct ack_parser parser = {.len = 0};
    struct seen seen = {.count = 0};
    for (size_t at = 0; at < len && seen.code >= 0;) {
        size_t piece = kn_min_u64(step, len - at), used = 0;
        struct ack ack;
        seen.code = ack_feed(&parser, ptr + at, piece, &used, &ack);
        kn_assert(used <= piece && parser.len <= ACK_BYTES_MAX);
        kn_assert(seen.code < 0 || used > 0);
        at += used;
        if (seen.code != 1)
            continue;
        kn_assert(strlen(ack.event) < sizeof(ack.event) && ack.event[0]);
        kn_assert(strlen(ack.number) <= ACK_NUMBER_BYTES_MAX);
        seen.count++;
        seen.digest = mix(seen.digest, ack.event, strlen(ack.event));
        seen.digest = mix(seen.digest, ack.number, strlen(ack.number));
        seen.digest = mix(seen.digest, &ack.time, sizeof(ack.time));
        seen.digest = mix(seen.digest, &ack.error_id, sizeof(ack.error_id));
    }
    return seen;
}

static void count_data(void *ctx, const char *ptr, size_t len)
{
    struct seen *seen = ctx;
    for (size_t i = 0; i < len; i++)
        seen->digest = mix(seen->digest, ptr + i, 1);
    seen->count += len;
}

/* Chunks come off the same in one piece and byte by byte. */
static void take_chunks(const char *ptr, size_t len)
{
    struct chunks whole = {.left = 0}, cut = {.left = 0};
    struct seen one = {.count = 0}, two = {.count = 0};
    one.code = chunks_feed(&whole, ptr, len, count_data, &one);
    for (size_t i = 0; i < len && two.code == 0; i++)
        two.code = chunks_feed(&cut, ptr + i, 1, count_data, &two);
    kn_assert(one.code == two.code && one.count == two.count && one.digest == two.digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char value[64];
    if (size == 0 || size > INPUT_BYTES_MAX)
        return 0;
    char *exact = malloc(size); /* so that one byte too far is seen */
    kn_assert(exact);
    memcpy(exact, data, size);
    struct seen whole = feed(exact, size, size), cut = feed(exact, size, 1 + data[0] % 7);
    kn_assert(whole.count == cut.count && whole.digest == cut.digest);
    kn_assert((whole.code < 0) == (cut.code < 0));
    int code = json_find(exact, size, "DataEndpoint", value, sizeof(value));
    kn_assert(code == 0 || code == -ENOENT || code == -EBADMSG || code == -EMSGSIZE);
    kn_assert(code != 0 || strlen(value) < sizeof(value));
    take_chunks(exact, size);
    free(exact);
    return 0;
}
