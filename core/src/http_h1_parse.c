/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict reader of HTTP/1.1 (RFC 9112). What two parsers could read differently is refused, since
 * each such difference is a request smuggled past a proxy: lines end in CRLF only, no folded
 * headers, no blank before a colon, one Host, one Content-Length of digits only, Transfer-Encoding
 * is exactly `chunked`, and never both. tests/unit/test_http_h1_parse.c has a row for each shape.
 */
#include "http_h1_parse.h"

#include <errno.h>

enum {
    CLASS_TOKEN = 1,
    CLASS_VALUE = 2,
    CLASS_TARGET = 4,
    CLASS_HOST = 8
};

/* RFC 9110 5.6.2 tchar; 5.5 field-value bytes; RFC 3986 characters of a target and of a host */
static unsigned classes_of(unsigned char c)
{
    static const char token_marks[] = "!#$%&'*+-.^_`|~";
    static const char host_marks[] = "-._~:[]%";
    bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    unsigned classes = 0;
    if (alnum || (c && strchr(token_marks, c)))
        classes |= CLASS_TOKEN;
    if (c == '\t' || (c >= 0x20 && c != 0x7f))
        classes |= CLASS_VALUE;
    if (c > 0x20 && c < 0x7f && c != '#' && c != '"' && c != '<' && c != '>' && c != '\\' &&
        c != '^' && c != '`')
        classes |= CLASS_TARGET;
    if (alnum || (c && strchr(host_marks, c)))
        classes |= CLASS_HOST;
    return classes;
}

static uint8_t class_table[256];

__attribute__((constructor)) static void class_table_init(void)
{
    for (unsigned c = 0; c < 256; c++)
        class_table[c] = (uint8_t) classes_of((unsigned char) c);
}

static bool all_of(struct kn_str s, unsigned classes)
{
    for (size_t i = 0; i < s.len; i++)
        if (!(class_table[(uint8_t) s.ptr[i]] & classes))
            return false;
    return true;
}

/* Eight bytes at a time for as long as none is a control character: less 0x20, one below that
 * borrows and so has its highest bit set; 0x7f does the same once its bits are turned, less 1. What
 * borrows may have the next byte taken for one too: both are then looked at singly. */
static bool is_value(struct kn_str s)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    while (s.len >= sizeof(uint64_t)) {
        uint64_t v;
        memcpy(&v, s.ptr, sizeof v);
        uint64_t del = v ^ (ones * 0x7f);
        if (((v - ones * 0x20) | (del - ones)) & ~v & high)
            break;
        s = kn_str_skip(s, sizeof v);
    }
    return all_of(s, CLASS_VALUE);
}

bool kn_h1_method_is_valid(struct kn_str method)
{
    return method.len > 0 && method.len <= KN_H1_METHOD_BYTES_MAX && all_of(method, CLASS_TOKEN);
}

bool kn_h1_target_is_valid(struct kn_str target)
{
    return target.len > 0 && all_of(target, CLASS_TARGET);
}

bool kn_h1_host_is_valid(struct kn_str host)
{
    return host.len > 0 && all_of(host, CLASS_HOST);
}

bool kn_h1_value_is_valid(struct kn_str value)
{
    return is_value(value);
}

ssize_t kn_h1_head_find(const char *buf, size_t len, size_t *scan)
{
    size_t at = *scan;
    while (at < len) {
        const char *lf = memchr(buf + at, '\n', len - at);
        if (!lf)
            break;
        size_t end = (size_t) (lf - buf);
        if (end == 0 || buf[end - 1] != '\r')
            return -EBADMSG;
        if (end >= 3 && buf[end - 2] == '\n') { /* an empty line; never the first one */
            *scan = 0;
            return (ssize_t) (end + 1);
        }
        at = end + 1;
    }
    *scan = at;
    return 0;
}

/* Cuts the next line, without its CRLF, off rest. */
static struct kn_str next_line(struct kn_str *rest)
{
    const char *lf = memchr(rest->ptr, '\n', rest->len);
    size_t len = (size_t) (lf - rest->ptr);
    struct kn_str line = {rest->ptr, len - 1};
    rest->ptr += len + 1;
    rest->len -= len + 1;
    return line;
}

static int parse_version(struct kn_str version, struct kn_h1_head *head)
{
    if (kn_str_eq(version, KN_STR("HTTP/1.1")))
        return 0;
    if (kn_str_eq(version, KN_STR("HTTP/1.0"))) {
        head->minor_0 = true;
        return 0;
    }
    bool http =
        version.len == 8 && kn_str_starts_with(version, KN_STR("HTTP/")) && version.ptr[6] == '.';
    return http ? 505 : 400;
}

/* RFC 9112 3.2.2: scheme, authority, and a path that may be empty, which is "/". */
static int parse_absolute(struct kn_str target, struct kn_h1_head *head,
                          struct kn_str *ret_authority)
{
    struct kn_str scheme, rest = kn_str_cut(target, ':', &scheme);
    if (!kn_str_eq_nocase(scheme, KN_STR("http")) && !kn_str_eq_nocase(scheme, KN_STR("https")))
        return 400;
    if (!kn_str_starts_with(rest, KN_STR("//")))
        return 400;
    struct kn_str root = {rest.ptr, 1};
    rest = kn_str_skip(rest, 2);
    head->query = kn_str_cut(rest, '?', &rest);
    bool has_path = kn_str_cut(rest, '/', ret_authority).ptr;
    head->path = has_path ? kn_str_skip(rest, ret_authority->len) : root;
    return kn_h1_host_is_valid(*ret_authority) ? 0 : 400;
}

/* Origin form, absolute form (the authority is given back, to be compared with Host), or `*`. */
static int parse_target(struct kn_str target, struct kn_h1_head *head, struct kn_str *ret_authority)
{
    if (!kn_h1_target_is_valid(target))
        return 400;
    int status = 0;
    if (target.ptr[0] == '/')
        head->query = kn_str_cut(target, '?', &head->path);
    else if (!kn_str_eq(target, KN_STR("*")))
        status = parse_absolute(target, head, ret_authority);
    else if (kn_str_eq(head->method, KN_STR("OPTIONS")))
        head->path = target;
    else
        status = 400;
    if (!head->query.ptr)
        head->query = KN_STR("");
    return status;
}

static int parse_request_line(struct kn_str line, struct kn_h1_head *head, struct kn_str *authority)
{
    struct kn_str target;
    struct kn_str rest = kn_str_cut(line, ' ', &head->method);
    if (!rest.ptr)
        return 400;
    struct kn_str version = kn_str_cut(rest, ' ', &target);
    if (!version.ptr)
        return 400;
    if (!kn_h1_method_is_valid(head->method))
        return 400;
    int status = parse_version(version, head);
    return status ? status : parse_target(target, head, authority);
}

/* Splits "name: value", puts the name in lower case. */
static int parse_header(char *line, size_t len, struct kn_http_header *ret)
{
    size_t name_len = 0;
    while (name_len < len && line[name_len] != ':') {
        char c = line[name_len];
        if (!(class_table[(uint8_t) c] & CLASS_TOKEN))
            return 400; /* also a leading blank (folding) and a blank before the colon */
        if (c >= 'A' && c <= 'Z')
            line[name_len] = (char) (c | 0x20);
        name_len++;
    }
    if (name_len == 0 || name_len == len)
        return 400;
    struct kn_str value = {line + name_len + 1, len - name_len - 1};
    if (!is_value(value))
        return 400;
    ret->name = (struct kn_str){line, name_len};
    ret->value = kn_str_trim(value);
    return 0;
}

struct framing { /* what must come once at most */
    struct kn_str host;
    bool has_host, has_transfer_encoding;
};

static void parse_connection(struct kn_str value, struct kn_h1_head *head)
{
    while (value.ptr) {
        struct kn_str option;
        value = kn_str_cut(value, ',', &option);
        option = kn_str_trim(option);
        if (kn_str_eq_nocase(option, KN_STR("close")))
            head->close = true;
        else if (kn_str_eq_nocase(option, KN_STR("keep-alive")))
            head->keep_alive = true;
    }
}

static int apply_header(const struct kn_http_header *h, struct kn_h1_head *head, struct framing *f)
{
    if (kn_str_eq(h->name, KN_STR("host"))) {
        if (f->has_host || !kn_h1_host_is_valid(h->value))
            return 400;
        f->has_host = true;
        f->host = h->value;
    } else if (kn_str_eq(h->name, KN_STR("content-length"))) {
        if (head->has_length || kn_str_to_u64(h->value, INT64_MAX, &head->length) < 0)
            return 400;
        head->has_length = true;
    } else if (kn_str_eq(h->name, KN_STR("transfer-encoding"))) {
        if (f->has_transfer_encoding || !kn_str_eq_nocase(h->value, KN_STR("chunked")))
            return 400;
        f->has_transfer_encoding = true;
        head->chunked = true;
    } else if (kn_str_eq(h->name, KN_STR("connection"))) {
        parse_connection(h->value, head);
    } else if (kn_str_eq(h->name, KN_STR("expect"))) {
        if (!kn_str_eq_nocase(h->value, KN_STR("100-continue")))
            return 417;
        head->expect_100 = true;
    }
    return 0;
}

int kn_h1_head_parse(char *buf, size_t len, struct kn_http_header *headers, size_t header_max,
                     struct kn_h1_head *ret)
{
    struct kn_h1_head head = {.headers = headers};
    struct framing framing = {0};
    struct kn_str authority = {0}, rest = {buf, len};

    if (len < 4 || memcmp(buf + len - 4, "\r\n\r\n", 4) != 0)
        return 400;
    int status = parse_request_line(next_line(&rest), &head, &authority);
    if (status)
        return status;
    for (;;) {
        char *at = buf + (len - rest.len); /* the same place, writable */
        struct kn_str line = next_line(&rest);
        if (line.len == 0)
            break;
        if (head.header_count == header_max)
            return 431;
        struct kn_http_header *header = &headers[head.header_count++];
        status = parse_header(at, line.len, header);
        if (!status)
            status = apply_header(header, &head, &framing);
        if (status)
            return status;
    }
    if (!framing.has_host && !head.minor_0)
        return 400;
    /* RFC 9112 3.2.2 has the authority win over a Host that differs, which 3.2 lets no client send:
     * who routed by Host in front of us would have meant another server. */
    if (authority.ptr && !(framing.has_host && kn_str_eq_nocase(authority, framing.host)))
        return 400;
    if (head.chunked && (head.has_length || head.minor_0))
        return 400;
    *ret = head;
    return 0;
}

/* --- chunked body ------------------------------------------------------------------------ */
static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int size_byte(struct kn_h1_chunked *c, uint8_t byte)
{
    int digit = hex_digit(byte);
    if (digit >= 0) {
        if (++c->digits > KN_H1_CHUNK_DIGITS_MAX)
            return -EBADMSG;
        c->left = c->left << 4 | (unsigned) digit;
        c->state = KN_H1_SIZE;
        return 0;
    }
    if (c->digits == 0)
        return -EBADMSG;
    if (byte == '\r')
        c->state = KN_H1_SIZE_LF;
    else if (byte == ';')
        c->state = KN_H1_EXT;
    else
        return -EBADMSG;
    return 0;
}

/* Bytes of extensions and trailers: counted, checked, ignored. */
static int extra_byte(struct kn_h1_chunked *c, uint8_t byte, enum kn_h1_chunk_state after_cr,
                      unsigned max)
{
    if (byte == '\r') {
        c->state = after_cr;
        return 0;
    }
    if (++c->extra_bytes > max || !(class_table[byte] & CLASS_VALUE))
        return -EBADMSG;
    return 0;
}

static int expect_byte(struct kn_h1_chunked *c, uint8_t byte, uint8_t want,
                       enum kn_h1_chunk_state next)
{
    if (byte != want)
        return -EBADMSG;
    c->state = next;
    return 0;
}

static int framing_byte(struct kn_h1_chunked *c, uint8_t byte)
{
    switch (c->state) {
    case KN_H1_SIZE_FIRST:
        c->left = c->digits = c->extra_bytes = 0;
        return size_byte(c, byte);
    case KN_H1_SIZE:
        return size_byte(c, byte);
    case KN_H1_EXT:
        return extra_byte(c, byte, KN_H1_SIZE_LF, KN_H1_CHUNK_EXT_BYTES_MAX);
    case KN_H1_SIZE_LF:
        c->extra_bytes = 0;
        return expect_byte(c, byte, '\n', c->left ? KN_H1_DATA : KN_H1_TRAILER_FIRST);
    case KN_H1_DATA_CR:
        return expect_byte(c, byte, '\r', KN_H1_DATA_LF);
    case KN_H1_DATA_LF:
        return expect_byte(c, byte, '\n', KN_H1_SIZE_FIRST);
    case KN_H1_TRAILER_FIRST:
        if (byte == '\r') {
            c->state = KN_H1_LAST_LF;
            return 0;
        }
        if (!(class_table[byte] & CLASS_TOKEN))
            return -EBADMSG; /* no folding here either */
        c->state = KN_H1_TRAILER;
        return extra_byte(c, byte, KN_H1_TRAILER_LF, KN_H1_TRAILER_BYTES_MAX);
    case KN_H1_TRAILER:
        return extra_byte(c, byte, KN_H1_TRAILER_LF, KN_H1_TRAILER_BYTES_MAX);
    case KN_H1_TRAILER_LF:
        return expect_byte(c, byte, '\n', KN_H1_TRAILER_FIRST);
    case KN_H1_LAST_LF:
        return expect_byte(c, byte, '\n', KN_H1_END);
    case KN_H1_DATA:
    case KN_H1_END:
    default:
        return -EBADMSG;
    }
}

int kn_h1_chunked_next(struct kn_h1_chunked *c, struct kn_bytes *in, struct kn_bytes *ret_data)
{
    *ret_data = (struct kn_bytes){in->ptr, 0};
    while (in->len > 0 && c->state != KN_H1_END && c->state != KN_H1_DATA) {
        int r = framing_byte(c, in->ptr[0]);
        if (r < 0)
            return r;
        in->ptr++;
        in->len--;
    }
    if (c->state == KN_H1_DATA)
        *ret_data = (struct kn_bytes){in->ptr, (size_t) kn_min_u64(in->len, c->left)};
    return 0;
}

void kn_h1_chunked_took(struct kn_h1_chunked *c, struct kn_bytes *in, size_t len)
{
    kn_assert(c->state == KN_H1_DATA && len <= c->left && len <= in->len);
    in->ptr += len;
    in->len -= len;
    c->left -= len;
    if (c->left == 0)
        c->state = KN_H1_DATA_CR;
}
