/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service may answer a consumer with. Matroska: items come out the same however the bytes
 * are cut, within what was announced as bounds. CBOR: passing over a value ends where reading it
 * does, or not at all.
 */
#include "cbor.h"
#include "mkv_reader.h"

#include <errno.h>
#include <stdlib.h>

#include "core/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    INPUT_BYTES_MAX = 64 << 10,
    FRAME_MAX = 8 << 10
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

static void note(struct seen *seen, const struct mkv_reader *reader, const struct mkv_item *item)
{
    seen->count++;
    seen->digest = mix(seen->digest, &item->type, sizeof(item->type));
    if (item->type == MKV_FRAME) {
        kn_assert(item->len <= FRAME_MAX && item->track >= reader->tracks &&
                  item->track < reader->tracks + reader->track_count);
        seen->digest = mix(seen->digest, item->data, item->len);
        seen->digest = mix(seen->digest, &item->time_ms, sizeof(item->time_ms));
    } else if (item->type == MKV_TAG) {
        seen->digest = mix(seen->digest, item->name, item->name_len);
        seen->digest = mix(seen->digest, item->value, item->value_len);
    } else if (item->type == MKV_TRACKS) {
        for (size_t i = 0; i < reader->track_count; i++) {
            const struct kinema_track *format = &reader->tracks[i].format;
            seen->digest = mix(seen->digest, format->codec_id, strlen(format->codec_id));
            seen->digest = mix(seen->digest, format->name, strlen(format->name));
            seen->digest = mix(seen->digest, format->codec_private, format->codec_private_len);
        }
    }
}

static struct seen feed(const uint8_t *ptr, size_t len, size_t step)
{
    struct mkv_reader reader;
    struct seen seen = {.count = 0};
    size_t at = 0;
    mkv_reader_init(&reader, FRAME_MAX);
    while (seen.code == 0) {
        size_t piece = kn_min_u64(step, len - at), used = 0;
        struct mkv_item item;
        seen.code = mkv_read(&reader, ptr + at, piece, &used, &item);
        kn_assert(used <= piece && reader.body_len <= MKV_TRACKS_BYTES_MAX);
        at += used;
        if (seen.code == 0 && item.type != MKV_MORE)
            note(&seen, &reader, &item);
        else if (at == len)
            break;
    }
    kn_assert(seen.code == 0 || seen.code == -EBADMSG || seen.code == -EMSGSIZE);
    mkv_reader_done(&reader);
    return seen;
}

/* Reads a value as skip does, by heads alone; a break ends the innermost group without a length. */
static void take_cbor(const uint8_t *ptr, size_t len)
{
    struct cbor whole = {ptr, ptr + len}, heads = {ptr, ptr + len};
    struct cbor_item item;
    struct cbor_group map;
    int64_t number;
    char text[64];
    int code = cbor_skip(&whole);
    kn_assert(whole.at <= whole.end && (code == 0 || code == -EBADMSG));
    if (cbor_next(&heads, &item) == 0 && cbor_open(&item, CBOR_MAP, &map) == 0) {
        int more;
        while ((more = cbor_member(&heads, &map, &item)) == 1) {
            struct cbor value = heads;
            (void) cbor_text(&value, text, sizeof(text));
            value = heads;
            (void) cbor_time(&value, &number);
            value = heads;
            (void) cbor_int(&value, &number);
            if (cbor_skip(&heads) < 0)
                break;
        }
        kn_assert(heads.at <= heads.end);
        kn_assert(more != 0 || code < 0 || heads.at == whole.at);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > INPUT_BYTES_MAX)
        return 0;
    uint8_t *exact = malloc(size); /* so that one byte too far is seen */
    kn_assert(exact);
    memcpy(exact, data, size);
    struct seen whole = feed(exact, size, size), cut = feed(exact, size, 1 + data[size - 1] % 13);
    kn_assert(whole.count == cut.count && whole.digest == cut.digest && whole.code == cut.code);
    take_cbor(exact, size);
    free(exact);
    return 0;
}
