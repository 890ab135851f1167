/* SPDX-License-Identifier: Apache-2.0 */
#include "sequence.h"

#include <errno.h>

#include "core/wide.h"

enum {
    LIMBS = 6,
    DIGITS_MAX = 129, /* of the model's pattern */

    /* Layout 2: where each field begins, and how wide it is. */
    SHARD_AT = 4,
    ARRIVAL_AT = 36,
    ZERO_AT = 72,
    INDEX_AT = 80,
    NIBBLE_AT = 144,
    CREATED_AT = 148,
    TOP_AT = 184,
    TOP = 2,
    TOTAL_BITS = 188,
    SECONDS_BITS = 36,

    /* Layout 1 has these elsewhere. */
    V1_INDEX_AT = 36,
    V1_INDEX_BITS = 8,
    V1_ARRIVAL_AT = 100,

    V0_CREATED_AT = 88,
    V0_SHARD_BITS = 16,
    V0_TOP_AT = 124,
};
static_assert(ZERO_AT == ARRIVAL_AT + SECONDS_BITS && CREATED_AT + SECONDS_BITS == TOP_AT,
              "fields meet");

static const int64_t created_s_max = 16025175000; /* AWS: "date too large" from here on */

static void put_fields(const struct datastream_sequence *s, uint32_t limb[LIMBS])
{
    kn_assert(s->layout == 2 && s->shard >= 0 && s->index <= DATASTREAM_SEQUENCE_INDEX_MAX);
    kn_assert(s->arrival_s >> SECONDS_BITS == 0 && s->created_s >> SECONDS_BITS == 0);
    uint64_t arrival_s = (uint64_t) s->arrival_s;
    const uint64_t words[] = {
        2 | (uint64_t) s->shard << SHARD_AT | arrival_s << ARRIVAL_AT,
        arrival_s >> (64 - ARRIVAL_AT) | (uint64_t) s->past << (ZERO_AT - 64) |
            s->index << (INDEX_AT - 64),
        s->index >> (128 - INDEX_AT) | ((uint64_t) s->shard & 0xf) << (NIBBLE_AT - 128) |
            (uint64_t) s->created_s << (CREATED_AT - 128) | (uint64_t) TOP << (TOP_AT - 128),
    };
    for (size_t i = 0; i < LIMBS; i++)
        limb[i] = (uint32_t) (words[i / 2] >> 32 * (i % 2));
}

size_t datastream_sequence_format(const struct datastream_sequence *s,
                                  char dst[DATASTREAM_SEQUENCE_TEXT_BYTES])
{
    uint32_t limb[LIMBS];
    put_fields(s, limb);
    return kn_wide_format(limb, LIMBS, dst, DATASTREAM_SEQUENCE_TEXT_BYTES);
}

enum {
    CHUNKS = 7,
    CHUNK_DIGITS = 8,
    CHUNK = 100000000,
};
static_assert(CHUNKS * CHUNK_DIGITS == DATASTREAM_SEQUENCE_DIGITS, "chunks are whole");
static_assert(INDEX_AT == 80 && NIBBLE_AT == 144, "what is below");
static const uint32_t step[CHUNKS] = {74706176, 96146291, 20892581, 1}; /* 2^80, of an index */

static void split(const struct datastream_sequence *s, uint32_t chunk[CHUNKS])
{
    uint32_t limb[LIMBS];
    put_fields(s, limb);
    for (size_t i = 0, left = LIMBS; i < CHUNKS; i++) {
        uint64_t rest = 0;
        for (size_t k = left; k-- > 0;) {
            rest = rest << 32 | limb[k];
            limb[k] = (uint32_t) (rest / CHUNK);
            rest %= CHUNK;
        }
        chunk[i] = (uint32_t) rest;
        while (left > 0 && limb[left - 1] == 0)
            left--;
    }
}

/* Shards of a stream are as old as one another as a rule, and records of a call arrive together:
 * what their numbers have in common is split once, and the rest added to it in decimal. */
void datastream_sequence_run_init(struct datastream_sequence_run *run,
                                  const struct datastream_sequence *first)
{
    static _Thread_local struct datastream_sequence common; /* layout 0: of none yet */
    static _Thread_local uint32_t base[CHUNKS];
    static const uint32_t far[CHUNKS] = {29220096, 85304963, 53482762, 92296858, 51}; /* 2^112 */
    static const uint32_t nibble[CHUNKS] = {5980416,  26483615, 53571827,
                                            30623141, 7451985,  2230}; /* 2^144 */
    kn_assert(first->shard >= 0 && first->index <= DATASTREAM_SEQUENCE_INDEX_MAX);
    if (common.layout != first->layout || common.created_s != first->created_s ||
        common.arrival_s != first->arrival_s || common.past != first->past) {
        common = *first;
        common.shard = 0;
        common.index = 0;
        split(&common, base);
    }
    uint64_t shard = (uint64_t) first->shard, sum = shard << SHARD_AT;
    for (size_t i = 0; i < CHUNKS; i++) {
        sum += base[i] + (first->index & UINT32_MAX) * step[i] + (first->index >> 32) * far[i] +
               (shard & 0xf) * nibble[i];
        run->chunk[i] = (uint32_t) (sum % CHUNK);
        sum /= CHUNK;
    }
}

void datastream_sequence_run_next(struct datastream_sequence_run *run)
{
    uint32_t carry = 0;
    for (size_t i = 0; i < CHUNKS; i++) {
        uint32_t sum = run->chunk[i] + step[i] + carry;
        carry = sum >= CHUNK;
        run->chunk[i] = carry ? sum - CHUNK : sum;
    }
}

void datastream_sequence_run_text(const struct datastream_sequence_run *run,
                                  char dst[DATASTREAM_SEQUENCE_DIGITS])
{
    static const char pairs[] = "0001020304050607080910111213141516171819"
                                "2021222324252627282930313233343536373839"
                                "4041424344454647484950515253545556575859"
                                "6061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    for (size_t i = 0; i < CHUNKS; i++) {
        uint32_t high = run->chunk[CHUNKS - 1 - i] / 10000,
                 low = run->chunk[CHUNKS - 1 - i] % 10000;
        memcpy(dst, pairs + (size_t) 2 * (high / 100), 2);
        memcpy(dst + 2, pairs + (size_t) 2 * (high % 100), 2);
        memcpy(dst + 4, pairs + (size_t) 2 * (low / 100), 2);
        memcpy(dst + 6, pairs + (size_t) 2 * (low % 100), 2);
        dst += CHUNK_DIGITS;
    }
}

static int64_t seconds(const uint32_t *limb, unsigned at)
{
    return (int64_t) kn_wide_bits(limb, LIMBS, at, SECONDS_BITS);
}

/* Small numbers stand for themselves: "5" is the oldest layout of shard 5, created at 0. */
static int parse_oldest(const uint32_t *limb, struct datastream_sequence *ret)
{
    if (kn_wide_bits(limb, LIMBS, V0_TOP_AT, 4) > 1)
        return -EINVAL;
    *ret = (struct datastream_sequence){
        .layout = 0,
        .created_s = seconds(limb, V0_CREATED_AT),
        .shard = (int32_t) kn_wide_bits(limb, LIMBS, 0, V0_SHARD_BITS),
    };
    return ret->created_s < created_s_max ? 0 : -EINVAL;
}

int datastream_sequence_parse(struct kn_str text, struct datastream_sequence *ret)
{
    uint32_t limb[LIMBS];
    if (text.len > DIGITS_MAX || kn_wide_parse(text, limb, LIMBS) < 0)
        return -EINVAL;
    if (kn_wide_bits(limb, LIMBS, V0_TOP_AT + 4, 64) == 0) /* less than 2^128 */
        return parse_oldest(limb, ret);
    if (kn_wide_bits(limb, LIMBS, TOP_AT, LIMBS * 32 - TOP_AT) != TOP)
        return -EINVAL;
    struct datastream_sequence s = {
        .layout = (unsigned) kn_wide_bits(limb, LIMBS, 0, 4),
        .created_s = seconds(limb, CREATED_AT),
        .shard = (int32_t) kn_wide_bits(limb, LIMBS, SHARD_AT, 32),
    };
    switch (s.layout) {
    case 1:
        s.index = kn_wide_bits(limb, LIMBS, V1_INDEX_AT, V1_INDEX_BITS);
        s.arrival_s = seconds(limb, V1_ARRIVAL_AT);
        break;
    case 2:
        s.index = kn_wide_bits(limb, LIMBS, INDEX_AT, 64);
        s.past = kn_wide_bits(limb, LIMBS, ZERO_AT, 8) != 0;
        s.arrival_s = seconds(limb, ARRIVAL_AT);
        if (s.index > DATASTREAM_SEQUENCE_INDEX_MAX || s.created_s >= created_s_max)
            return -EINVAL;
        break;
    default:
        return -EINVAL;
    }
    *ret = s;
    return 0;
}
