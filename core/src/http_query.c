/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Query parameters: RFC 3986 percent-encoding, pairs cut at '&' and '='. '+' is a plus, as SigV4's
 * canonical query wants it, not a blank. The first pair of a name wins.
 */
#include "http_query.h"

#include <errno.h>

#include "core/http.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char) (c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int kn_http_percent_decode(struct kn_str in, char *dst, size_t *ret_len)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        if (in.ptr[i] != '%') {
            dst[n++] = in.ptr[i];
            continue;
        }
        if (in.len - i < 3)
            return -EINVAL;
        int high = hex_digit(in.ptr[i + 1]), low = hex_digit(in.ptr[i + 2]);
        if (high < 0 || low < 0 || (high == 0 && low == 0))
            return -EINVAL; /* NUL would end the text early for whoever reads it as a C string */
        dst[n++] = (char) (high << 4 | low);
        i += 2;
    }
    *ret_len = n;
    return 0;
}

static int decode(struct kn_str in, struct kn_arena *arena, struct kn_str *ret)
{
    char *text = kn_arena_alloc(arena, in.len + 1); /* zeroed, so it ends in NUL */
    if (!text)
        return -ENOMEM;
    size_t len;
    int r = kn_http_percent_decode(in, text, &len);
    if (r < 0)
        return r;
    *ret = (struct kn_str){text, len};
    return 0;
}

int kn_http_query_find(struct kn_str query, struct kn_str name, struct kn_arena *arena,
                       struct kn_str *ret)
{
    struct kn_str rest = query;
    while (rest.ptr && rest.len > 0) {
        struct kn_str pair, key;
        rest = kn_str_cut(rest, '&', &pair);
        struct kn_str value = kn_str_cut(pair, '=', &key);
        struct kn_str decoded = key;
        if (key.len > name.len && memchr(key.ptr, '%', key.len)) {
            int r = decode(key, arena, &decoded);
            if (r < 0)
                return r;
        }
        if (!kn_str_eq(decoded, name))
            continue;
        return decode(value.ptr ? value : KN_STR(""), arena, ret);
    }
    return -ENOENT;
}

int kn_http_query_param(struct kn_http_req *req, const char *name, struct kn_str *ret)
{
    return kn_http_query_find(kn_http_query(req), kn_str_from(name), kn_http_arena(req), ret);
}

int kn_http_decode(struct kn_http_req *req, struct kn_str text, struct kn_str *ret)
{
    return decode(text, kn_http_arena(req), ret);
}
