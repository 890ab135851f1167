/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CBOR reader: one token a call. What is open is a stack of at most KN_CBOR_DEPTH_MAX counts,
 * so hostile nesting costs nothing; a count or length beyond the bytes that are left is refused at
 * once. Strings stay where they lie; only those sent in chunks are copied, on demand. Portable C11.
 * Source: RFC 8949.
 */
#include "utf8.h"

#include <math.h>

#include "core/cbor.h"
#include "core/err.h"

enum {
    MAJOR_UNSIGNED,
    MAJOR_NEGATIVE,
    MAJOR_BYTES,
    MAJOR_TEXT,
    MAJOR_ARRAY,
    MAJOR_MAP,
    MAJOR_TAG,
    MAJOR_OTHER
};
enum {
    INDEFINITE = 31,
    BREAK = 0xFF,
    TAG_TIME = 1,
    FALSE_VALUE = 20,
    TRUE_VALUE,
    NULL_VALUE,
    UNDEFINED_VALUE,
    HALF = 25,
    SINGLE,
    DOUBLE
};

struct head {
    uint8_t major, info;
    uint64_t value;
};

void kn_cbor_reader_init(struct kn_cbor_reader *r, struct kn_bytes in)
{
    memset(r, 0, offsetof(struct kn_cbor_reader, open)); /* what is open is read after it is set */
    r->in = kn_reader_of(in);
    r->start = in.ptr;
}

size_t kn_cbor_offset(const struct kn_cbor_reader *r)
{
    return (size_t) (r->in.at - r->start);
}

static int fail(struct kn_cbor_reader *r)
{
    r->broken = true;
    return -EBADMSG;
}

static int read_head(struct kn_reader *in, struct head *ret)
{
    uint8_t first, byte;
    uint16_t half;
    uint32_t word;
    if (kn_read_u8(in, &first) < 0)
        return -EBADMSG;
    *ret = (struct head){.major = first >> 5, .info = first & 31};
    ret->value = ret->info;
    int error = 0;
    if (ret->info == 24) {
        error = kn_read_u8(in, &byte);
        ret->value = error ? 0 : byte;
    } else if (ret->info == 25) {
        error = kn_read_u16be(in, &half);
        ret->value = error ? 0 : half;
    } else if (ret->info == 26) {
        error = kn_read_u32be(in, &word);
        ret->value = error ? 0 : word;
    } else if (ret->info == 27) {
        error = kn_read_u64be(in, &ret->value);
    } else if (ret->info > 27 && ret->info != INDEFINITE) {
        error = -EBADMSG;
    }
    return error ? -EBADMSG : 0;
}

/* --- strings ---------------------------------------------------------------------------------- */
static int read_piece(struct kn_reader *in, const struct head *head, struct kn_bytes *ret)
{
    if (head->value > kn_reader_left(in) || kn_read_bytes(in, (size_t) head->value, ret) < 0)
        return -EBADMSG;
    return head->major == MAJOR_TEXT && kn_utf8_bad(*ret) ? -EBADMSG : 0;
}

static int read_string(struct kn_cbor_reader *r, const struct head *head)
{
    const uint8_t *first = r->in.at;
    r->chunked = head->info == INDEFINITE;
    if (!r->chunked)
        return read_piece(&r->in, head, &r->raw);
    for (;;) {
        struct head piece;
        struct kn_bytes bytes;
        const uint8_t *at = r->in.at;
        if (kn_reader_left(&r->in) && *at == BREAK) {
            r->in.at++;
            r->raw = (struct kn_bytes){first, (size_t) (at - first)};
            return 0;
        }
        if (read_head(&r->in, &piece) < 0 || piece.major != head->major ||
            piece.info == INDEFINITE || read_piece(&r->in, &piece, &bytes) < 0)
            return -EBADMSG;
    }
}

int kn_cbor_join(const struct kn_cbor_reader *r, struct kn_arena *arena, struct kn_bytes *ret)
{
    if (!r->chunked) {
        *ret = r->raw;
        return 0;
    }
    struct kn_reader in = kn_reader_of(r->raw);
    uint8_t *dst = kn_arena_alloc(arena, r->raw.len);
    size_t len = 0;
    if (!dst)
        return -ENOMEM;
    while (kn_reader_left(&in)) {
        struct head head;
        struct kn_bytes piece = {0};
        int error = read_head(&in, &head);
        if (!error)
            error = kn_read_bytes(&in, (size_t) head.value, &piece);
        kn_assert(!error); /* read_string has walked the same way */
        if (piece.len)
            memcpy(dst + len, piece.ptr, piece.len);
        len += piece.len;
    }
    *ret = (struct kn_bytes){dst, len};
    return 0;
}

/* --- numbers ---------------------------------------------------------------------------------- */
static double half_to_double(uint64_t bits)
{
    int exponent = (int) (bits >> 10 & 31);
    double fraction = (double) (bits & 1023);
    double v = exponent == 0    ? fraction * 0x1p-24
               : exponent != 31 ? (fraction + 1024) * (double) (1u << exponent) * 0x1p-25
               : fraction > 0   ? (double) NAN
                                : (double) INFINITY;
    return bits & 0x8000 ? -v : v;
}

static int read_other(struct kn_cbor_reader *r, const struct head *head, enum kn_cbor_token *ret)
{
    uint32_t single = (uint32_t) head->value;
    float narrow;
    *ret = KN_CBOR_NUMBER;
    r->is_real = true;
    switch (head->info) {
    case FALSE_VALUE:
    case TRUE_VALUE:
        *ret = head->info == TRUE_VALUE ? KN_CBOR_TRUE : KN_CBOR_FALSE;
        return 0;
    case NULL_VALUE:
    case UNDEFINED_VALUE:
        *ret = KN_CBOR_NULL;
        return 0;
    case HALF:
        r->real = half_to_double(head->value);
        return 0;
    case SINGLE:
        memcpy(&narrow, &single, sizeof narrow);
        r->real = (double) narrow;
        return 0;
    case DOUBLE:
        memcpy(&r->real, &head->value, sizeof r->real);
        return 0;
    default:
        return -EBADMSG;
    }
}

int kn_cbor_number_i64(const struct kn_cbor_reader *r, int64_t *ret)
{
    if (r->is_real) {
        if (!(r->real >= -0x1p63 && r->real < 0x1p63))
            return -EINVAL;
        int64_t whole = (int64_t) r->real;
        if ((double) whole < r->real || (double) whole > r->real)
            return -EINVAL;
        *ret = whole;
        return 0;
    }
    if (r->magnitude > INT64_MAX)
        return -EINVAL;
    *ret = r->negative ? -1 - (int64_t) r->magnitude : (int64_t) r->magnitude;
    return 0;
}

double kn_cbor_number_double(const struct kn_cbor_reader *r)
{
    if (r->is_real)
        return r->real;
    return r->negative ? -1 - (double) r->magnitude : (double) r->magnitude;
}

/* --- structure -------------------------------------------------------------------------------- */
static int open_container(struct kn_cbor_reader *r, const struct head *head)
{
    bool is_map = head->major == MAJOR_MAP;
    uint64_t left = head->info == INDEFINITE ? UINT64_MAX : head->value;
    if (r->depth == KN_CBOR_DEPTH_MAX)
        return -EBADMSG;
    if (head->info != INDEFINITE && left > kn_reader_left(&r->in) / (is_map ? 2 : 1))
        return -EBADMSG; /* every item is a byte at least */
    r->open[r->depth++] = (struct kn_cbor_open){.left = left, .is_map = is_map};
    return 0;
}

static void close_container(struct kn_cbor_reader *r, enum kn_cbor_token *ret)
{
    *ret = r->open[--r->depth].is_map ? KN_CBOR_MAP_END : KN_CBOR_ARRAY_END;
    r->done = r->depth == 0;
}

static int read_value(struct kn_cbor_reader *r, struct head *head, enum kn_cbor_token *ret)
{
    r->is_time = false;
    for (unsigned tags = 0; head->major == MAJOR_TAG; tags++) {
        r->is_time = r->is_time || head->value == TAG_TIME;
        if (tags == KN_CBOR_TAGS_MAX || head->info == INDEFINITE || read_head(&r->in, head) < 0)
            return -EBADMSG;
    }
    switch (head->major) {
    case MAJOR_UNSIGNED:
    case MAJOR_NEGATIVE:
        *ret = KN_CBOR_NUMBER;
        r->is_real = false;
        r->negative = head->major == MAJOR_NEGATIVE;
        r->magnitude = head->value;
        return head->info == INDEFINITE ? -EBADMSG : 0;
    case MAJOR_BYTES:
    case MAJOR_TEXT:
        *ret = head->major == MAJOR_TEXT ? KN_CBOR_TEXT : KN_CBOR_BYTES;
        return read_string(r, head);
    case MAJOR_ARRAY:
    case MAJOR_MAP:
        *ret = head->major == MAJOR_MAP ? KN_CBOR_MAP : KN_CBOR_ARRAY;
        return open_container(r, head);
    default:
        return read_other(r, head, ret);
    }
}

/* Counts the next item; true: it is a key. */
static bool enter_item(struct kn_cbor_reader *r)
{
    struct kn_cbor_open *top = &r->open[r->depth - 1];
    bool key = top->is_map && !top->value_due;
    top->value_due = key;
    if (!key && top->left != UINT64_MAX)
        top->left--;
    return key;
}

static bool is_at_end(struct kn_cbor_reader *r)
{
    struct kn_cbor_open *top = &r->open[r->depth - 1];
    if (top->value_due)
        return false;
    if (top->left != UINT64_MAX)
        return top->left == 0;
    if (!kn_reader_left(&r->in) || *r->in.at != BREAK)
        return false;
    r->in.at++;
    return true;
}

int kn_cbor_next(struct kn_cbor_reader *r, enum kn_cbor_token *ret)
{
    struct head head;
    bool key = false;
    if (r->broken)
        return -EBADMSG;
    if (r->done) {
        *ret = KN_CBOR_DONE;
        return kn_reader_left(&r->in) ? fail(r) : 0;
    }
    if (r->depth) {
        if (is_at_end(r)) {
            close_container(r, ret);
            return 0;
        }
        key = enter_item(r);
    }
    if (read_head(&r->in, &head) < 0)
        return fail(r);
    if (key) {
        *ret = KN_CBOR_KEY;
        return head.major == MAJOR_TEXT && read_string(r, &head) == 0 ? 0 : fail(r);
    }
    if (read_value(r, &head, ret) < 0)
        return fail(r);
    r->done = r->depth == 0;
    return 0;
}

int kn_cbor_skip(struct kn_cbor_reader *r, enum kn_cbor_token first)
{
    if (first != KN_CBOR_MAP && first != KN_CBOR_ARRAY)
        return 0;
    unsigned outside = r->depth - 1;
    enum kn_cbor_token token;
    while (r->depth > outside) {
        int error = kn_cbor_next(r, &token);
        if (error < 0)
            return error;
    }
    return 0;
}
