/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS for the wire engine: OpenSSL on the loop's own non-blocking sockets. 1.2 and 1.3, AEAD suites
 * with ephemeral keys only, the server's order, no renegotiation, close_notify before each close.
 * Idle connections give their record buffers back (design/http-layer.md 4: 14.6 KB each).
 */
#include "http_io.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "core/crypto.h"
#include "core/http_server.h"

struct kn_tls {
    SSL_CTX *ctx;
    bool h2;
};

/* AWS's producers: libcurl and OpenSSL; TLS 1.2 at least (contracts/kvs-producer.md 2). */
static const char suites_1_2[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char suites_1_3[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char both[] = "\x02h2\x08http/1.1";
    const struct kn_tls *tls = arg;
    const unsigned char *ours = tls->h2 ? both : both + 3;
    unsigned len = (unsigned) (sizeof(both) - 1) - (tls->h2 ? 0 : 3);
    unsigned char *chosen;
    (void) ssl;
    if (SSL_select_next_proto(&chosen, out_len, ours, len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK; /* none in common: go on without, as if it had not asked */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int fail_tls(struct kn_err *err, const char *what)
{
    char text[160];
    unsigned long code = ERR_get_error();
    ERR_error_string_n(code, text, sizeof(text));
    ERR_clear_error();
    return kn_fail(err, -EINVAL, "%s: %s", what, text);
}

static int set_up(struct kn_tls *tls, struct kn_err *err)
{
    static char groups[] = "X25519:P-256:P-384"; /* the macro casts const away */
    SSL_CTX *ctx = tls->ctx;
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only: no memory held */
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, tls);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, suites_1_2) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, suites_1_3) != 1 ||
        SSL_CTX_set1_groups_list(ctx, groups) != 1)
        return fail_tls(err, "TLS settings");
    return 0;
}

int kn_tls_new(const char *cert_path, const char *key_path, bool h2, struct kn_tls **ret,
               struct kn_err *err)
{
    struct kn_tls *tls = calloc(1, sizeof(*tls));
    if (!tls)
        return kn_fail(err, -ENOMEM, "no memory for TLS");
    tls->h2 = h2;
    tls->ctx = SSL_CTX_new(TLS_server_method());
    int r = tls->ctx ? set_up(tls, err) : fail_tls(err, "TLS");
    if (r == 0 && SSL_CTX_use_certificate_chain_file(tls->ctx, cert_path) != 1)
        r = fail_tls(err, cert_path);
    if (r == 0 && SSL_CTX_use_PrivateKey_file(tls->ctx, key_path, SSL_FILETYPE_PEM) != 1)
        r = fail_tls(err, key_path);
    if (r == 0 && SSL_CTX_check_private_key(tls->ctx) != 1)
        r = fail_tls(err, key_path);
    if (r < 0) {
        kn_tls_free(tls);
        return r;
    }
    *ret = tls;
    return 0;
}

void kn_tls_free(struct kn_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->ctx);
    free(tls);
}

/* --- on a connection --------------------------------------------------------------------- */
int kn_http_tls_attach(struct kn_http_conn *conn)
{
    conn->ssl = SSL_new(conn->listener->tls->ctx);
    if (!conn->ssl || SSL_set_fd(conn->ssl, conn->fd) != 1)
        return -ENOMEM;
    SSL_set_accept_state(conn->ssl);
    return 0;
}

/* What an OpenSSL call that did not succeed means for the socket. */
static int outcome(struct kn_http_conn *conn, int result)
{
    int error = SSL_get_error(conn->ssl, result);
    switch (error) {
    case SSL_ERROR_WANT_READ:
        conn->readable = false;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        conn->writable = false;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        conn->tls_broken = true; /* SSL_shutdown is not allowed any more */
        ERR_clear_error();
        return -EIO;
    }
}

int kn_http_tls_handshake(struct kn_http_conn *conn)
{
    ERR_clear_error();
    int r = SSL_do_handshake(conn->ssl);
    if (r == 1)
        return 0;
    r = outcome(conn, r);
    return r == -EAGAIN ? r : -EPROTO;
}

bool kn_http_tls_chose_h2(struct kn_http_conn *conn)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(conn->ssl, &name, &len);
    return len == 2 && memcmp(name, "h2", 2) == 0;
}

void kn_http_tls_close_notify(struct kn_http_conn *conn)
{
    if (conn->tls_broken || conn->phase == KN_HTTP_HANDSHAKE || conn->tls_closed)
        return;
    conn->tls_closed = true;
    ERR_clear_error();
    (void) SSL_shutdown(conn->ssl); /* sends it; the peer's answer is not waited for */
    ERR_clear_error();
}

void kn_http_tls_free(struct kn_http_conn *conn)
{
    kn_http_tls_close_notify(conn);
    SSL_free(conn->ssl);
    conn->ssl = NULL;
}

/* One record at a time comes out of SSL_read; they are gathered so that a body is handed on in
 * large pieces. */
ssize_t kn_http_tls_read(struct kn_http_conn *conn, void *dst, size_t cap)
{
    uint8_t *at = dst;
    size_t got = 0;
    ERR_clear_error();
    while (got < cap) {
        int want = (int) kn_min_u64(cap - got, INT_MAX);
        int n = SSL_read(conn->ssl, at + got, want);
        if (n > 0) {
            got += (size_t) n;
            continue;
        }
        int r = outcome(conn, n);
        if (got > 0) {
            if (r != -EAGAIN)
                conn->readable = true; /* the end is met again at the next read */
            return (ssize_t) got;
        }
        return r;
    }
    return (ssize_t) got;
}

ssize_t kn_http_tls_write(struct kn_http_conn *conn, const void *ptr, size_t len)
{
    ERR_clear_error();
    int n = SSL_write(conn->ssl, ptr, (int) kn_min_u64(len, 1 << 30));
    if (n > 0)
        return n;
    int r = outcome(conn, n);
    return r == 0 ? -EIO : r;
}
