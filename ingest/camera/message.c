/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <errno.h>
#include <stdio.h>

#include "core/crypto.h"

enum {
    HEX_BYTES = KN_SHA256_HEX_BYTES,
    A_BYTES_MAX = 4096,
};

/* --- messages --------------------------------------------------------------------------------- */
static struct kn_str without_cr(struct kn_str line)
{
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* Where the empty line ends; 0: there is none yet. */
static size_t head_end(struct kn_bytes in)
{
    for (const uint8_t *at = in.ptr; at && at < kn_bytes_end(in);) {
        const uint8_t *line = memchr(at, '\n', (size_t) (kn_bytes_end(in) - at));
        if (!line)
            return 0;
        const uint8_t *next = line + 1;
        if (next < kn_bytes_end(in) && *next == '\n')
            return (size_t) (next - in.ptr) + 1;
        if (next + 1 < kn_bytes_end(in) && next[0] == '\r' && next[1] == '\n')
            return (size_t) (next - in.ptr) + 2;
        at = next;
    }
    return 0;
}

static int read_start(struct rtsp_message *message)
{
    struct kn_str version, status;
    struct kn_str rest = kn_str_cut(message->start, ' ', &version);
    uint64_t number;
    if (!kn_str_starts_with(message->start, KN_STR("RTSP/")))
        return kn_str_ends_with(message->start, KN_STR(" RTSP/1.0")) ? 0 : -EBADMSG;
    (void) kn_str_cut(rest, ' ', &status);
    if (kn_str_to_u64(status, 999, &number) < 0 || number < 100)
        return -EBADMSG;
    message->status = (unsigned) number;
    return 0;
}

int rtsp_message_read(struct kn_bytes in, size_t *ret_taken, struct rtsp_message *ret)
{
    uint64_t body = 0;
    size_t head = head_end((struct kn_bytes){in.ptr, kn_min_u64(in.len, RTSP_HEAD_BYTES_MAX)});
    if (head == 0)
        return in.len >= RTSP_HEAD_BYTES_MAX ? -EMSGSIZE : -ENODATA;
    *ret = (struct rtsp_message){0};
    ret->head = kn_str_cut((struct kn_str){(const char *) in.ptr, head}, '\n', &ret->start);
    ret->start = without_cr(ret->start);
    int r = read_start(ret);
    if (r < 0)
        return r;
    struct kn_str length = rtsp_header(ret, KN_STR("Content-Length"));
    if (length.len > 0 && kn_str_to_u64(length, RTSP_BODY_BYTES_MAX, &body) < 0)
        return -EMSGSIZE;
    if (in.len - head < body)
        return -ENODATA;
    ret->body = (struct kn_bytes){in.ptr + head, body};
    *ret_taken = head + body;
    return 0;
}

struct kn_str rtsp_header_next(struct kn_str *head, struct kn_str name)
{
    while (head->len > 0) {
        struct kn_str line, key;
        *head = kn_str_cut(*head, '\n', &line);
        struct kn_str value = kn_str_cut(without_cr(line), ':', &key);
        if (kn_str_eq_nocase(kn_str_trim(key), name))
            return kn_str_trim(value);
    }
    return (struct kn_str){NULL, 0};
}

struct kn_str rtsp_header(const struct rtsp_message *message, struct kn_str name)
{
    struct kn_str head = message->head;
    return rtsp_header_next(&head, name);
}

/* Values may be quoted, and then hold separators. */
struct kn_str rtsp_parameter(struct kn_str value, char separator, struct kn_str name)
{
    while (value.len > 0) {
        size_t len = 0;
        for (bool quoted = false; len < value.len && (quoted || value.ptr[len] != separator); len++)
            quoted ^= value.ptr[len] == '"';
        struct kn_str key, one = {value.ptr, len};
        value = kn_str_skip(value, len < value.len ? len + 1 : len);
        struct kn_str found = kn_str_trim(kn_str_cut(one, '=', &key));
        if (!kn_str_eq_nocase(kn_str_trim(key), name))
            continue;
        if (found.len >= 2 && found.ptr[0] == '"' && found.ptr[found.len - 1] == '"')
            found = (struct kn_str){found.ptr + 1, found.len - 2};
        return found;
    }
    return (struct kn_str){NULL, 0};
}

/* --- challenges ------------------------------------------------------------------------------- */
static void read_digest(struct kn_str value, struct rtsp_auth *ret)
{
    struct kn_str algorithm = rtsp_parameter(value, ',', KN_STR("algorithm"));
    struct rtsp_auth auth = {.scheme = RTSP_AUTH_MD5};
    if (kn_str_eq_nocase(algorithm, KN_STR("SHA-256")))
        auth.scheme = RTSP_AUTH_SHA256;
    else if (algorithm.len > 0 && !kn_str_eq_nocase(algorithm, KN_STR("MD5")))
        return;
    if (auth.scheme <= ret->scheme ||
        kn_str_copy(auth.realm, sizeof auth.realm, rtsp_parameter(value, ',', KN_STR("realm"))) <
            0 ||
        kn_str_copy(auth.nonce, sizeof auth.nonce, rtsp_parameter(value, ',', KN_STR("nonce"))) <
            0 ||
        kn_str_copy(auth.opaque, sizeof auth.opaque, rtsp_parameter(value, ',', KN_STR("opaque"))) <
            0)
        return;
    struct kn_str qop = rtsp_parameter(value, ',', KN_STR("qop")), one;
    while (qop.len > 0) {
        qop = kn_str_cut(qop, ',', &one);
        auth.qop |= kn_str_eq_nocase(kn_str_trim(one), KN_STR("auth"));
    }
    *ret = auth;
}

void rtsp_auth_read(const struct rtsp_message *message, struct rtsp_auth *ret)
{
    struct kn_str head = message->head, value;
    *ret = (struct rtsp_auth){.scheme = RTSP_AUTH_NONE};
    while ((value = rtsp_header_next(&head, KN_STR("WWW-Authenticate"))).len > 0) {
        struct kn_str scheme, rest = kn_str_cut(value, ' ', &scheme);
        if (kn_str_eq_nocase(scheme, KN_STR("Digest")))
            read_digest(rest, ret);
        else if (kn_str_eq_nocase(scheme, KN_STR("Basic")) && ret->scheme == RTSP_AUTH_NONE)
            ret->scheme = RTSP_AUTH_BASIC;
    }
}

static void hash(const struct rtsp_auth *auth, const struct kn_buf *text, char ret[HEX_BYTES])
{
    uint8_t digest[KN_SHA256_BYTES];
    bool md5 = auth->scheme == RTSP_AUTH_MD5;
    if (md5)
        kn_md5(kn_buf_bytes(text), digest);
    else
        kn_sha256(kn_buf_bytes(text), digest);
    kn_hex_encode((struct kn_bytes){digest, md5 ? KN_MD5_BYTES : KN_SHA256_BYTES}, ret);
}

/* RFC 7616, 3.4.1; without qop RFC 2069's, as most cameras ask. */
static void write_digest(struct rtsp_auth *auth, const char *user, const char *password,
                         const char *method, const char *uri, struct kn_buf *out)
{
    char a1[HEX_BYTES], a2[HEX_BYTES], response[HEX_BYTES], own[17];
    struct kn_buf text;
    kn_buf_init(&text, A_BYTES_MAX);
    (void) kn_buf_printf(&text, "%s:%s:%s", user, auth->realm, password);
    hash(auth, &text, a1);
    kn_buf_clear(&text);
    (void) kn_buf_printf(&text, "%s:%s", method, uri);
    hash(auth, &text, a2);
    kn_buf_clear(&text);
    (void) snprintf(own, sizeof own, "%016llx", (unsigned long long) kn_random_u64());
    auth->count++;
    if (auth->qop)
        (void) kn_buf_printf(&text, "%s:%s:%08x:%s:auth:%s", a1, auth->nonce, auth->count, own, a2);
    else
        (void) kn_buf_printf(&text, "%s:%s:%s", a1, auth->nonce, a2);
    hash(auth, &text, response);
    kn_buf_done(&text);
    (void) kn_buf_printf(out,
                         "Authorization: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", "
                         "uri=\"%s\", response=\"%s\"",
                         user, auth->realm, auth->nonce, uri, response);
    if (auth->scheme == RTSP_AUTH_SHA256)
        (void) kn_buf_append_text(out, ", algorithm=SHA-256");
    if (*auth->opaque)
        (void) kn_buf_printf(out, ", opaque=\"%s\"", auth->opaque);
    if (auth->qop)
        (void) kn_buf_printf(out, ", qop=auth, nc=%08x, cnonce=\"%s\"", auth->count, own);
    (void) kn_buf_append_text(out, "\r\n");
}

/* No user of a camera has such a name; it would end the header. */
static bool is_plain(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char) *text < ' ' || *text == '"')
            return false;
    }
    return true;
}

void rtsp_auth_write(struct rtsp_auth *auth, const char *user, const char *password,
                     const char *method, const char *uri, struct kn_buf *out)
{
    struct kn_buf plain;
    if (auth->scheme == RTSP_AUTH_NONE || !is_plain(user) || !is_plain(uri))
        return;
    if (auth->scheme != RTSP_AUTH_BASIC) {
        write_digest(auth, user, password, method, uri, out);
        return;
    }
    kn_buf_init(&plain, A_BYTES_MAX);
    (void) kn_buf_printf(&plain, "%s:%s", user, password);
    (void) kn_buf_append_text(out, "Authorization: Basic ");
    (void) kn_base64_encode(kn_buf_bytes(&plain), false, out);
    (void) kn_buf_append_text(out, "\r\n");
    if (plain.ptr)
        explicit_bzero(plain.ptr, plain.len);
    kn_buf_done(&plain);
}
