/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a start finds in the catalogue and in a fragment's record: any bytes, as after damage. Byte
 * 0 chooses the reader. What is accepted reads back the same once it has been written again.
 */
#include "credential_record.h"
#include "directory.h"
#include "frames.h"
#include "stream_snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    INPUT_BYTES_MAX = 1 << 16
};

static int encode(const struct storage_stream *stream, struct kn_buf *out)
{
    struct storage_stream_settings settings;
    kn_buf_init(out, STORAGE_STREAM_RECORD_BYTES_MAX);
    storage_stream_settings_of(stream, &settings);
    return storage_stream_encode(&settings, out);
}

static void try_stream(struct kn_bytes in)
{
    static const struct storage_id id = {{1}};
    struct storage_stream *stream, *again;
    int r = storage_stream_decode(&id, in, 1, &stream);
    kn_assert(r == 0 || r == -EBADMSG);
    if (r < 0)
        return;
    struct kn_buf once, twice;
    if (encode(stream, &once) == 0) { /* not with a tag's key twice */
        kn_assert(storage_stream_decode(&id, kn_buf_bytes(&once), 1, &again) == 0);
        kn_assert(encode(again, &twice) == 0);
        kn_assert(kn_str_eq(kn_buf_str(&once), kn_buf_str(&twice)));
        kn_buf_done(&twice);
        storage_stream_unref(again);
    }
    kn_buf_done(&once);
    storage_stream_unref(stream);
}

static void try_rows(struct kn_bytes in)
{
    struct storage_chunk_row row, row_again;
    struct storage_intent intent, intent_again;
    struct storage_numbers numbers, numbers_again;
    uint8_t bytes[STORAGE_CHUNK_ROW_BYTES];
    if (storage_chunk_row_decode(in, &row) == 0) {
        storage_chunk_row_encode(&row, bytes);
        struct kn_bytes out = {bytes, STORAGE_CHUNK_ROW_BYTES};
        kn_assert(storage_chunk_row_decode(out, &row_again) == 0 && row_again.count == row.count &&
                  row_again.producer_ts_ms_max == row.producer_ts_ms_max);
    }
    if (storage_intent_decode(in, &intent) == 0) {
        storage_intent_encode(&intent, bytes);
        struct kn_bytes out = {bytes, STORAGE_INTENT_BYTES};
        kn_assert(storage_intent_decode(out, &intent_again) == 0 &&
                  intent_again.trusted_upto == intent.trusted_upto);
    }
    if (storage_numbers_decode(in, &numbers) == 0) {
        storage_numbers_encode(&numbers, bytes);
        struct kn_bytes out = {bytes, STORAGE_NUMBERS_BYTES};
        kn_assert(storage_numbers_decode(out, &numbers_again) == 0 &&
                  numbers_again.reserved_seq == numbers.reserved_seq);
    }
}

static void try_keys(struct kn_bytes in)
{
    struct storage_id id;
    uint64_t seq = 0;
    char text[STORAGE_CHUNK_KEY_BYTES];
    if (storage_chunk_key_parse(in, &id, &seq) == 0) {
        struct kn_bytes out = storage_chunk_key('c', &id, seq, text);
        uint64_t seq_again = 0;
        kn_assert(storage_chunk_key_parse(out, &id, &seq_again) == 0 && seq_again == seq);
    }
}

static void try_credential(struct kn_bytes in)
{
    struct kn_key *key;
    if (storage_credential_decode(KN_STR("AKIATEST"), KN_STR(""), in, &key) < 0)
        return;
    kn_assert(key->grant_count <= KN_KEY_GRANTS_MAX);
    for (size_t i = 0; i < key->grant_count; i++)
        kn_assert(key->grants[i].action.len + key->grants[i].stream.len <= in.len);
    (void) kn_key_allows(key, KN_STR("kinesisvideo:PutMedia"), KN_STR("cam"));
    storage_credential_free(key);
}

static void try_frames(struct kn_bytes in)
{
    struct kn_reader reader = kn_reader_of(in);
    uint16_t count = 0;
    uint32_t bytes = 0;
    struct storage_frames *frames;
    if (kn_read_u16be(&reader, &count) < 0 || kn_read_u32be(&reader, &bytes) < 0)
        return;
    struct kn_bytes table = {reader.at, kn_reader_left(&reader)};
    if (storage_frames_decode(table, count, bytes, &frames) < 0)
        return;
    kn_assert(frames->count == count);
    for (size_t i = 0; i < frames->count; i++)
        kn_assert((uint64_t) frames->items[i].offset + frames->items[i].bytes <= bytes);
    storage_frames_free(frames);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct kn_bytes in) = {try_stream, try_rows, try_keys,
                                                        try_credential, try_frames};
    if (size < 1 || size > INPUT_BYTES_MAX)
        return 0;
    tries[data[0] % KN_ARRAY_LEN(tries)]((struct kn_bytes){data + 1, size - 1});
    return 0;
}
