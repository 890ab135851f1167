/* SPDX-License-Identifier: Apache-2.0 */
#include "hash_key.h"

#include <errno.h>

#include "core/crypto.h"
#include "core/wide.h"

enum {
    LIMBS = 4
};

__extension__ typedef unsigned __int128 wide;

static wide wide_of(struct datastream_hash hash)
{
    return (wide) hash.high << 64 | hash.low;
}

static struct datastream_hash hash_of(wide v)
{
    return (struct datastream_hash){(uint64_t) (v >> 64), (uint64_t) v};
}

struct datastream_hash datastream_hash_of(struct kn_str partition_key)
{
    uint8_t digest[KN_MD5_BYTES];
    kn_md5(kn_bytes_of(partition_key), digest);
    struct kn_reader r = kn_reader_of((struct kn_bytes){digest, sizeof(digest)});
    struct datastream_hash hash = {0};
    kn_assert(kn_read_u64be(&r, &hash.high) == 0 && kn_read_u64be(&r, &hash.low) == 0);
    return hash;
}

int datastream_hash_parse(struct kn_str text, struct datastream_hash *ret)
{
    uint32_t limb[LIMBS];
    int r = kn_wide_parse(text, limb, LIMBS);
    if (r < 0)
        return r == -EMSGSIZE ? -ERANGE : r;
    *ret = (struct datastream_hash){kn_wide_bits(limb, LIMBS, 64, 64),
                                    kn_wide_bits(limb, LIMBS, 0, 64)};
    return 0;
}

size_t datastream_hash_format(struct datastream_hash hash, char dst[DATASTREAM_HASH_TEXT_BYTES])
{
    uint32_t limb[LIMBS] = {0};
    kn_wide_put_bits(limb, LIMBS, 0, 64, hash.low);
    kn_wide_put_bits(limb, LIMBS, 64, 64, hash.high);
    return kn_wide_format(limb, LIMBS, dst, DATASTREAM_HASH_TEXT_BYTES);
}

int datastream_hash_cmp(struct datastream_hash a, struct datastream_hash b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return (a.low > b.low) - (a.low < b.low);
}

struct datastream_hash datastream_hash_add(struct datastream_hash a, uint64_t b)
{
    return hash_of(wide_of(a) + b);
}

struct datastream_hash datastream_hash_less(struct datastream_hash a, uint64_t b)
{
    return hash_of(wide_of(a) - b);
}

struct datastream_hash_range datastream_hash_share(uint32_t i, uint32_t count)
{
    kn_assert(i < count);
    wide max = ~(wide) 0;
    wide share = max / count; /* floor(2^128 / count), but where count divides 2^128 */
    if (max % count == count - 1)
        share++; /* for count 1 it wraps to 0, which starts where it should */
    wide start = share * i;
    return (struct datastream_hash_range){hash_of(start),
                                          hash_of(i == count - 1 ? max : start + share - 1)};
}
