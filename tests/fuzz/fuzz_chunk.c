/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chunk file as recovery, check and dump find it: any bytes. Checksums of what looks like a
 * record are made right first, so that mutations reach the code behind them; the first input byte
 * says whether (odd) or not, and whether a fence stands in the file.
 */
#include "memory_file.h"
#include "scan.h"

#include "core/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    INPUT_BYTES_MAX = 1 << 16
};

static struct kn_bytes input;

static int open_input(struct kn_fs *fs, const char *path, int flags, struct kn_file **ret)
{
    (void) fs;
    (void) path;
    (void) flags;
    int r = storage_memory_file_new(ret);
    if (r < 0)
        return r;
    struct iovec iov = {(void *) (uintptr_t) input.ptr, input.len};
    return kn_file_write_all(*ret, &iov, 1, 0);
}

static void mend(uint8_t *bytes, size_t len, uint32_t seed)
{
    for (size_t at = 0; at + STORAGE_RECORD_HEAD_BYTES <= len; at++) {
        struct storage_record record;
        struct kn_bytes rest = {bytes + at, len - at};
        if (storage_record_peek(rest, &record) < 0 || record.bytes > rest.len)
            continue;
        kn_put_u32le(bytes + at + 13, (uint32_t) at);
        uint32_t crc = kn_crc32c(seed, (struct kn_bytes){bytes + at, 9});
        crc = kn_crc32c(crc, (struct kn_bytes){bytes + at + 13, record.bytes - 13});
        kn_put_u32le(bytes + at + 9, crc);
    }
}

static void no_say(void *ctx, const char *line)
{
    (void) ctx;
    (void) line;
}

static void recover(struct storage *nowhere, const struct storage_intent *intent)
{
    struct storage_scan scan;
    struct storage_chunk *chunk;
    if (storage_scan_open_intent(nowhere, "input", true, intent, &scan, &chunk) < 0)
        return;
    struct storage_chunk_row row;
    storage_chunk_row_of(chunk, &row);
    uint64_t footer_offset, bytes;
    if (storage_scan_void_gaps(chunk) == 0 && chunk->index.count > 0 &&
        storage_chunk_seal(chunk, &footer_offset, &bytes) == 0) {
        /* What was sealed reads back. */
        kn_assert(storage_scan_footer(chunk) == 0);
    }
    storage_chunk_unref(chunk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct kn_fs_ops ops = {.open = open_input};
    struct kn_fs fs = {&ops};
    struct storage nowhere = {.fs = &fs};
    if (size < 2 || size > INPUT_BYTES_MAX)
        return 0;
    size_t len = size - 1;
    uint8_t *bytes = malloc(len);
    kn_assert(bytes != NULL);
    memcpy(bytes, data + 1, len);
    struct storage_intent intent = {.fenced = data[0] & 2, .trusted_upto = data[0] * 64u};
    for (unsigned i = 0; i < STORAGE_CHUNK_ID_BYTES; i++)
        intent.head.id[i] = (uint8_t) (0xA0 + i); /* as in the corpus */
    intent.segment = 55;
    if (data[0] & 1)
        mend(bytes, len, storage_format_seed(intent.head.id));
    input = (struct kn_bytes){bytes, len};
    int r = storage_dump("input", &(struct storage_look){&fs, kn_clock_system(), no_say, NULL},
                         true, NULL);
    (void) r;
    recover(&nowhere, &intent);
    free(bytes);
    return 0;
}
