/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical request of SigV4: one text that both sides can write down from the same request.
 * Path segments are normalised and percent-encoded again (every service but S3), query pairs are
 * decoded, re-encoded and sorted, header values trimmed, folded and joined. Portable C11.
 * Source: AWS General Reference, "Create a canonical request"; the published test vectors' classes
 * are in tests/unit/test_sigv4.c.
 */
#include "sigv4_private.h"

#include <stdlib.h>

#include "core/crypto.h"

enum {
    USUAL_BYTES = 1 << 10 /* of a canonical request: one allocation */
};

/* --- percent encoding ------------------------------------------------------------------------- */
static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void kn_sigv4_encode(struct kn_str s, bool keep_slash, struct kn_buf *dst)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0, plain; i < s.len; i = plain + 1) {
        for (plain = i; plain < s.len; plain++)
            if (!is_unreserved(s.ptr[plain]) && !(keep_slash && s.ptr[plain] == '/'))
                break;
        (void) kn_buf_append(dst, s.ptr + i, plain - i); /* errors stick in dst */
        if (plain == s.len)
            break;
        uint8_t c = (uint8_t) s.ptr[plain];
        (void) kn_buf_append(dst, (const char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
    }
}

int kn_sigv4_decode(struct kn_str s, struct kn_buf *dst)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t byte = (uint8_t) s.ptr[i];
        if (byte == '%') {
            if (s.len - i < 3 || kn_hex_decode((struct kn_str){s.ptr + i + 1, 2}, &byte, 1) < 0)
                return -EINVAL;
            i += 2;
        }
        (void) kn_buf_append_byte(dst, byte);
    }
    return 0;
}

/* --- path ------------------------------------------------------------------------------------- */
/* RFC 3986 dot segments and doubled slashes removed, as all SDKs but the C producer's do it. */
static void normalise(struct kn_str path, struct kn_buf *dst)
{
    size_t base = dst->len;
    struct kn_str rest = path, segment;
    while (rest.ptr) {
        rest = kn_str_cut(rest, '/', &segment);
        if (!segment.len || kn_str_eq(segment, KN_STR(".")))
            continue;
        if (!kn_str_eq(segment, KN_STR(".."))) {
            (void) kn_buf_append_byte(dst, '/');
            (void) kn_buf_append_str(dst, segment);
            continue;
        }
        while (dst->len > base && dst->ptr[dst->len - 1] != '/')
            dst->len--;
        if (dst->len > base)
            dst->len--;
    }
    if (dst->len == base || (path.len && path.ptr[path.len - 1] == '/'))
        (void) kn_buf_append_byte(dst, '/');
}

void kn_sigv4_canonical_path(struct kn_str path, enum kn_sigv4_path_form form, struct kn_buf *dst)
{
    if (form == KN_SIGV4_PATH_AS_SENT || kn_str_eq(path, KN_STR("/"))) {
        (void) kn_buf_append_str(dst, path);
        return;
    }
    if (form == KN_SIGV4_PATH_ENCODED) {
        kn_sigv4_encode(path, true, dst);
        return;
    }
    KN_CLEANUP(kn_buf_done) struct kn_buf clean;
    kn_buf_init(&clean, KN_SIGV4_CANONICAL_BYTES_MAX);
    normalise(path, &clean);
    if (clean.error)
        dst->error = dst->error ? dst->error : clean.error;
    kn_sigv4_encode(kn_buf_str(&clean), true, dst);
}

/* --- query ------------------------------------------------------------------------------------ */
struct pair { /* offsets into one buffer, which may move while it grows */
    size_t name, name_len, value, value_len;
};

static struct kn_str part(const struct kn_buf *text, size_t at, size_t len)
{
    return (struct kn_str){(const char *) text->ptr + at, len};
}

static int compare(const struct kn_buf *text, const struct pair *a, const struct pair *b)
{
    int order = kn_str_cmp(part(text, a->name, a->name_len), part(text, b->name, b->name_len));
    return order
               ? order
               : kn_str_cmp(part(text, a->value, a->value_len), part(text, b->value, b->value_len));
}

/* Decodes what was sent and encodes it the one way that counts. */
static int encode_part(struct kn_str raw, struct kn_buf *text, size_t *ret_at, size_t *ret_len)
{
    KN_CLEANUP(kn_buf_done) struct kn_buf plain;
    kn_buf_init(&plain, KN_SIGV4_CANONICAL_BYTES_MAX);
    int error = kn_sigv4_decode(raw, &plain);
    if (error < 0 || plain.error)
        return error < 0 ? error : plain.error;
    *ret_at = text->len;
    kn_sigv4_encode(kn_buf_str(&plain), false, text);
    *ret_len = text->len - *ret_at;
    return text->error;
}

static int read_pairs(struct kn_str query, const struct kn_sigv4_form *form, struct kn_buf *text,
                      struct pair pairs[KN_SIGV4_QUERY_PARAMS_MAX], size_t *ret_count)
{
    size_t count = 0;
    struct kn_str rest = query, field, name;
    while (rest.ptr) {
        rest = kn_str_cut(rest, '&', &field);
        if (!field.len)
            continue;
        if (count == KN_SIGV4_QUERY_PARAMS_MAX)
            return -EINVAL;
        struct kn_str value = kn_str_cut(field, '=', &name);
        struct pair *p = &pairs[count];
        int error = encode_part(name, text, &p->name, &p->name_len);
        if (!error)
            error = encode_part(value, text, &p->value, &p->value_len);
        if (error)
            return error;
        struct kn_str key = part(text, p->name, p->name_len);
        if (kn_str_eq(key, KN_STR("X-Amz-Signature")) ||
            (form->token_left_out && kn_str_eq(key, KN_STR("X-Amz-Security-Token"))))
            continue;
        count++;
    }
    *ret_count = count;
    return 0;
}

static int canonical_query(struct kn_str query, const struct kn_sigv4_form *form,
                           struct kn_buf *dst)
{
    struct pair pairs[KN_SIGV4_QUERY_PARAMS_MAX];
    size_t count = 0;
    if (query.len == 0)
        return 0;
    KN_CLEANUP(kn_buf_done) struct kn_buf text;
    kn_buf_init(&text, KN_SIGV4_CANONICAL_BYTES_MAX);
    int error = kn_buf_reserve(&text, query.len + 1);
    if (!error)
        error = read_pairs(query, form, &text, pairs, &count);
    if (error)
        return error;
    for (size_t i = 1; i < count; i++) { /* insertion sort: a hundred at most, often sorted */
        struct pair p = pairs[i];
        size_t j = i;
        for (; j > 0 && compare(&text, &pairs[j - 1], &p) > 0; j--)
            pairs[j] = pairs[j - 1];
        pairs[j] = p;
    }
    for (size_t i = 0; i < count; i++) {
        if (i)
            (void) kn_buf_append_byte(dst, '&');
        (void) kn_buf_append_str(dst, part(&text, pairs[i].name, pairs[i].name_len));
        (void) kn_buf_append_byte(dst, '=');
        (void) kn_buf_append_str(dst, part(&text, pairs[i].value, pairs[i].value_len));
    }
    return 0;
}

/* --- headers ---------------------------------------------------------------------------------- */
static const struct kn_sigv4_header *find_exact(const struct kn_sigv4_request *req,
                                                struct kn_str name, size_t idx)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (kn_str_eq_nocase(req->headers[i].name, name) && idx-- == 0)
            return &req->headers[i];
    return NULL;
}

const struct kn_sigv4_header *kn_sigv4_find(const struct kn_sigv4_request *req, struct kn_str name,
                                            size_t idx)
{
    /* HTTP/2 names the host ":authority", and clients sign it under either name. */
    if (kn_str_eq_nocase(name, KN_STR("host")) && !find_exact(req, name, 0))
        name = KN_STR(":authority");
    else if (kn_str_eq_nocase(name, KN_STR(":authority")) && !find_exact(req, name, 0))
        name = KN_STR("host");
    return find_exact(req, name, idx);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Word by word, one blank between them. */
static void append_folded(struct kn_str value, struct kn_buf *dst)
{
    size_t at = 0;
    value = kn_str_trim(value);
    while (at < value.len) {
        size_t word = at;
        while (at < value.len && !is_blank(value.ptr[at]))
            at++;
        if (word > 0)
            (void) kn_buf_append_byte(dst, ' ');
        (void) kn_buf_append(dst, value.ptr + word, at - word);
        while (at < value.len && is_blank(value.ptr[at]))
            at++;
    }
}

static int canonical_headers(const struct kn_sigv4_request *req, struct kn_str signed_headers,
                             struct kn_buf *dst)
{
    const struct kn_sigv4_header *end = req->headers + req->header_count;
    struct kn_str rest = signed_headers, name;
    while (rest.ptr) {
        rest = kn_str_cut(rest, ';', &name);
        const struct kn_sigv4_header *header = kn_sigv4_find(req, name, 0);
        if (!header)
            return -EINVAL;
        (void) kn_buf_append_str(dst, name);
        (void) kn_buf_append_byte(dst, ':');
        append_folded(header->value, dst);
        for (struct kn_str same = header->name; ++header < end;) {
            if (!kn_str_eq_nocase(header->name, same))
                continue;
            (void) kn_buf_append_byte(dst, ',');
            append_folded(header->value, dst);
        }
        (void) kn_buf_append_byte(dst, '\n');
    }
    return 0;
}

int kn_sigv4_canonical(const struct kn_sigv4_request *req, struct kn_str signed_headers,
                       struct kn_str payload, const struct kn_sigv4_form *form, struct kn_buf *dst)
{
    (void) kn_buf_reserve(dst, USUAL_BYTES);
    (void) kn_buf_append_str(dst, req->method);
    (void) kn_buf_append_byte(dst, '\n');
    kn_sigv4_canonical_path(req->path, form->path, dst);
    (void) kn_buf_append_byte(dst, '\n');
    int error = canonical_query(req->query, form, dst);
    if (error)
        return error;
    (void) kn_buf_append_byte(dst, '\n');
    error = canonical_headers(req, signed_headers, dst);
    if (error)
        return error;
    (void) kn_buf_append_byte(dst, '\n');
    (void) kn_buf_append_str(dst, signed_headers);
    (void) kn_buf_append_byte(dst, '\n');
    (void) kn_buf_append_str(dst, payload);
    return dst->error;
}
