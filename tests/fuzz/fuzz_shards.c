/* SPDX-License-Identifier: Apache-2.0 */
/* Texts and records that place records of data streams. The first byte says which: 0 sequence
 * number, 1 hash key, 2 shard id, 3 iterator, else a shard map's record. What is taken must come
 * out as it went in. */
#include "hash_key.h"
#include "iterator.h"
#include "sequence.h"
#include "shard_id.h"
#include "shard_map.h"

#include <errno.h>

#include "core/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sequence(struct kn_str text)
{
    struct datastream_sequence s, again;
    char got[DATASTREAM_SEQUENCE_TEXT_BYTES];
    if (datastream_sequence_parse(text, &s) < 0 || s.layout != 2 || s.shard < 0)
        return;
    size_t len = datastream_sequence_format(&s, got);
    kn_assert(datastream_sequence_parse((struct kn_str){got, len}, &again) == 0);
    kn_assert(again.index == s.index && again.shard == s.shard && again.arrival_s == s.arrival_s);
}

static void hash(struct kn_str text)
{
    struct datastream_hash h, again;
    char got[DATASTREAM_HASH_TEXT_BYTES];
    if (datastream_hash_parse(text, &h) < 0)
        return;
    size_t len = datastream_hash_format(h, got);
    kn_assert(datastream_hash_parse((struct kn_str){got, len}, &again) == 0);
    kn_assert(datastream_hash_cmp(h, again) == 0);
}

static void iterator(struct kn_str text)
{
    static const uint8_t key[KN_AEAD_KEY_BYTES];
    struct datastream_iterator it;
    char name[DATASTREAM_NAME_BYTES_MAX];
    kn_assert(datastream_iterator_parse(key, text, name, &it) == -EINVAL); /* nobody can make one */
}

static void map(struct kn_bytes bytes)
{
    struct datastream_shard_map m, other;
    if (datastream_shard_map_decode(bytes, &m) < 0)
        return;
    const struct datastream_shard *last = &m.rows[m.open[m.open_count - 1]];
    kn_assert(datastream_shard_map_route(&m, last->range.end) == last);
    if (datastream_shard_map_split(&m, last->index, last->range.end, 0, &other) == 0)
        datastream_shard_map_done(&other);
    datastream_shard_map_done(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct kn_bytes rest = {data + 1, size - 1};
    uint32_t index;
    switch (data[0]) {
    case 0:
        sequence(kn_str_of(rest));
        break;
    case 1:
        hash(kn_str_of(rest));
        break;
    case 2:
        if (datastream_shard_id_parse(kn_str_of(rest), &index) == 0)
            kn_assert(index <= DATASTREAM_SHARD_INDEX_MAX);
        break;
    case 3:
        iterator(kn_str_of(rest));
        break;
    default:
        map(rest);
    }
    return 0;
}
