/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS for the wire engine: OpenSSL on the loop's own non-blocking sockets. 1.2 and 1.3, AEAD suites
 * with ephemeral keys only, the server's order, no renegotiation, close_notify before each close.
 * Idle connections give their record buffers back (design/http-layer.md 4: 14.6 KB each).
 *
 * What OpenSSL writes goes into the loop's buffer of records and leaves by one system call for many
 * records (OpenSSL itself makes one a record of 16 KiB). What a socket does not take then waits in
 * the connection, and nothing more is encrypted before it has left.
 */
#include "http_io.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "core/crypto.h"
#include "core/http_server.h"
#include "core/thread.h"

enum {
    RECORD_PLAIN_BYTES = 16 << 10,  /* most that a record holds: RFC 8446, 5.1 */
    RECORDS_BYTES_MAX = 512 << 10,  /* written at once */
    RECORDS_SLACK_BYTES = 64 << 10, /* the last record, alerts */
};

struct kn_tls {
    struct kn_lock lock; /* a leaf, over the next two */
    SSL_CTX *ctx;        /* of new connections; those that stand keep theirs */
    int64_t expires_ms;
    BIO_METHOD *records;                  /* how OpenSSL hands its records to us */
    char *cert_path, *key_path, *ca_path; /* ca: NULL, nobody is asked for a certificate */
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
    unsigned long code = ERR_get_error();
    const char *reason =
        ERR_SYSTEM_ERROR(code) ? kn_errsay(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    ERR_clear_error();
    return kn_fail(err, -EINVAL, "%s: %s%s", what,
                   ERR_GET_LIB(code) == ERR_LIB_PEM ? "nothing of PEM can be read from it: " : "",
                   reason ? reason : "OpenSSL does not say why");
}

static int set_up(SSL_CTX *ctx, struct kn_tls *tls, struct kn_err *err)
{
    static char groups[] = "X25519:P-256:P-384"; /* the macro casts const away */
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_read_ahead(ctx, 1); /* a record's head and body by one system call */
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

/* --- records out ------------------------------------------------------------------------- */
static int take_record(BIO *bio, const char *ptr, int len)
{
    struct kn_http_conn *conn = BIO_get_data(bio);
    return kn_buf_append(&conn->loop->records, ptr, (size_t) len) < 0 ? -1 : len;
}

static long control(BIO *bio, int command, long number, void *ptr)
{
    (void) bio;
    (void) number;
    (void) ptr;
    return command == BIO_CTRL_FLUSH; /* it is sent when the call into OpenSSL has returned */
}

static BIO_METHOD *new_records(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "records");
    if (method && BIO_meth_set_write(method, take_record) == 1 &&
        BIO_meth_set_ctrl(method, control) == 1)
        return method;
    BIO_meth_free(method);
    return NULL;
}

static int prepare_records(struct kn_http_loop *loop)
{
    const size_t bytes = RECORDS_BYTES_MAX + RECORDS_SLACK_BYTES;
    if (loop->records.ptr)
        return 0;
    kn_buf_init(&loop->records, 2 * bytes);
    int r = kn_buf_reserve(&loop->records, bytes);
    if (r == 0)
        memset(loop->records.ptr, 0, loop->records.cap); /* page faults now */
    return r;
}

static size_t waiting(const struct kn_http_conn *conn)
{
    return conn->tls_out.len - conn->tls_out_at;
}

/* What is waiting and what OpenSSL has just written, as far as the socket takes it; the rest of it
 * waits. */
static int send_records(struct kn_http_conn *conn)
{
    struct kn_buf *records = &conn->loop->records;
    size_t at = 0;
    int r = 0;
    while (r == 0 && conn->writable && waiting(conn) + records->len - at > 0) {
        struct kn_bytes first = {NULL, waiting(conn)};
        if (first.len > 0)
            first.ptr = conn->tls_out.ptr + conn->tls_out_at;
        ssize_t n =
            kn_http_io_send2(conn, first, (struct kn_bytes){records->ptr + at, records->len - at});
        if (n < 0) {
            r = n == -EAGAIN ? 0 : (int) n;
            break;
        }
        size_t of_first = kn_min_u64((size_t) n, first.len);
        conn->tls_out_at += of_first;
        at += (size_t) n - of_first;
    }
    if (waiting(conn) == 0 && conn->tls_out.ptr) {
        conn->tls_out_at = 0;
        kn_http_loop_give_buf(conn->loop, &conn->tls_out);
    }
    if (r == 0 && at < records->len) {
        if (!conn->tls_out.ptr)
            conn->tls_out = kn_http_loop_take_buf(conn->loop);
        r = kn_buf_append(&conn->tls_out, records->ptr + at, records->len - at);
    }
    kn_buf_clear(records);
    return r;
}

bool kn_http_tls_flush(struct kn_http_conn *conn)
{
    if (waiting(conn) > 0 && conn->writable && send_records(conn) < 0)
        conn->failed = true;
    return !conn->failed && waiting(conn) == 0;
}

/* --- settings ---------------------------------------------------------------------------- */
/* Revocation is looked at only where lists were given: an authority without one is no error then.
 */
static void heed_revocations(SSL_CTX *ctx)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++)
        if (X509_OBJECT_get_type(sk_X509_OBJECT_value(objects, i)) == X509_LU_CRL)
            (void) X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
}

static int demand_clients(SSL_CTX *ctx, const char *ca_path, struct kn_err *err)
{
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca_path);
    if (!names || SSL_CTX_load_verify_locations(ctx, ca_path, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return fail_tls(err, ca_path);
    }
    heed_revocations(ctx);
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET); /* every connection proves it anew */
    return SSL_CTX_set_num_tickets(ctx, 0) == 1 ? 0 : fail_tls(err, "TLS settings");
}

static int64_t expiry_of(const SSL_CTX *ctx)
{
    struct tm tm;
    const X509 *cert = SSL_CTX_get0_certificate(ctx);
    if (!cert || ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
        return 0;
    return (int64_t) timegm(&tm) * 1000;
}

static int load(struct kn_tls *tls, SSL_CTX *ctx, struct kn_err *err)
{
    int r = set_up(ctx, tls, err);
    if (r == 0 && SSL_CTX_use_certificate_chain_file(ctx, tls->cert_path) != 1)
        r = fail_tls(err, tls->cert_path);
    if (r == 0 && SSL_CTX_use_PrivateKey_file(ctx, tls->key_path, SSL_FILETYPE_PEM) != 1)
        r = fail_tls(err, tls->key_path);
    if (r == 0 && SSL_CTX_check_private_key(ctx) != 1)
        r = fail_tls(err, tls->key_path);
    return r == 0 && tls->ca_path ? demand_clients(ctx, tls->ca_path, err) : r;
}

static int read_files(struct kn_tls *tls, SSL_CTX **ret, struct kn_err *err)
{
    *ret = SSL_CTX_new(TLS_server_method());
    return *ret ? load(tls, *ret, err) : fail_tls(err, "TLS");
}

/* The former is given back; its connections hold on to it. */
static void put_in_place(struct kn_tls *tls, SSL_CTX **ctx)
{
    KN_LOCKED(&tls->lock);
    SSL_CTX *former = tls->ctx;
    tls->ctx = *ctx;
    tls->expires_ms = expiry_of(*ctx);
    *ctx = former;
}

int kn_tls_reload(struct kn_tls *const *all, size_t count, struct kn_err *err)
{
    SSL_CTX *ctx[KN_TLS_RELOAD_MAX] = {NULL};
    int r = 0;
    kn_assert(count <= KN_TLS_RELOAD_MAX);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = read_files(all[i], &ctx[i], err);
    for (size_t i = 0; r == 0 && i < count; i++)
        put_in_place(all[i], &ctx[i]);
    for (size_t i = 0; i < count; i++)
        SSL_CTX_free(ctx[i]);
    return r;
}

int kn_tls_new(const char *cert_path, const char *key_path, bool h2, struct kn_tls **ret,
               struct kn_err *err)
{
    struct kn_tls *tls = calloc(1, sizeof(*tls));
    if (!tls)
        return kn_fail(err, -ENOMEM, "no memory for TLS");
    kn_lock_init(&tls->lock);
    tls->h2 = h2;
    tls->cert_path = strdup(cert_path);
    tls->key_path = strdup(key_path);
    tls->records = new_records();
    int r = tls->cert_path && tls->key_path && tls->records
                ? kn_tls_reload(&tls, 1, err)
                : kn_fail(err, -ENOMEM, "no memory for TLS");
    if (r < 0)
        kn_tls_free(tls);
    else
        *ret = tls;
    return r;
}

int kn_tls_demand_clients(struct kn_tls *tls, const char *ca_path, struct kn_err *err)
{
    kn_assert(!tls->ca_path);
    tls->ca_path = strdup(ca_path);
    return tls->ca_path ? kn_tls_reload(&tls, 1, err) : kn_fail(err, -ENOMEM, "no memory for TLS");
}

static bool write_pem(SSL_CTX *ctx, BIO *out)
{
    STACK_OF(X509) *chain = NULL;
    bool ok = PEM_write_bio_PrivateKey(out, SSL_CTX_get0_privatekey(ctx), NULL, NULL, 0, NULL,
                                       NULL) == 1 &&
              PEM_write_bio_X509(out, SSL_CTX_get0_certificate(ctx)) == 1 &&
              SSL_CTX_get0_chain_certs(ctx, &chain) == 1;
    for (int i = 0; ok && i < sk_X509_num(chain); i++)
        ok = PEM_write_bio_X509(out, sk_X509_value(chain, i)) == 1;
    return ok;
}

int kn_tls_pem(struct kn_tls *tls, struct kn_buf *dst)
{
    KN_LOCKED(&tls->lock);
    BIO *out = BIO_new(BIO_s_secmem());
    char *text = NULL;
    int r = out && write_pem(tls->ctx, out) ? 0 : -ENOMEM;
    long len = r == 0 ? BIO_get_mem_data(out, &text) : 0;
    if (len > 0)
        r = kn_buf_append(dst, text, (size_t) len);
    BIO_free(out);
    ERR_clear_error();
    return r;
}

int64_t kn_tls_expires_ms(struct kn_tls *tls)
{
    KN_LOCKED(&tls->lock);
    return tls->expires_ms;
}

void kn_tls_free(struct kn_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->ctx);
    BIO_meth_free(tls->records);
    free(tls->cert_path);
    free(tls->key_path);
    free(tls->ca_path);
    kn_lock_done(&tls->lock);
    free(tls);
}

/* --- on a connection --------------------------------------------------------------------- */
static SSL *new_session(struct kn_tls *tls)
{
    KN_LOCKED(&tls->lock);
    return SSL_new(tls->ctx);
}

int kn_http_tls_attach(struct kn_http_conn *conn)
{
    struct kn_tls *tls = conn->listener->tls;
    BIO *in = BIO_new_socket(conn->fd, BIO_NOCLOSE), *out = BIO_new(tls->records);
    conn->ssl = new_session(tls);
    if (!conn->ssl || !in || !out || prepare_records(conn->loop) < 0) {
        BIO_free(in);
        BIO_free(out);
        return -ENOMEM;
    }
    BIO_set_data(out, conn);
    BIO_set_init(out, 1);
    SSL_set0_rbio(conn->ssl, in);
    SSL_set0_wbio(conn->ssl, out);
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

/* Of the subject; more than one common name, or a NUL inside it, is nobody's name. */
static char *common_name(X509 *cert)
{
    X509_NAME *subject = cert ? X509_get_subject_name(cert) : NULL;
    int at = subject ? X509_NAME_get_index_by_NID(subject, NID_commonName, -1) : -1;
    unsigned char *text = NULL;
    char *name = NULL;
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return NULL;
    int len =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (len > 0 && memchr(text, 0, (size_t) len) == NULL)
        name = strndup((const char *) text, (size_t) len);
    OPENSSL_free(text);
    return name;
}

/* Of a call that has just failed: what came was an HTTP request as it is. */
static bool is_plain_http(void)
{
    unsigned long code = ERR_peek_error();
    return ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST;
}

int kn_http_tls_handshake(struct kn_http_conn *conn)
{
    ERR_clear_error();
    int result = SSL_do_handshake(conn->ssl);
    bool plain = result != 1 && is_plain_http();
    int r = result == 1 ? 0 : outcome(conn, result);
    int sent = send_records(conn); /* an alert too */
    if (result == 1 && conn->listener->tls->ca_path)
        conn->client_name = common_name(SSL_get0_peer_certificate(conn->ssl));
    if (result == 1)
        return sent < 0 ? -EPROTO : 0;
    if (plain)
        return -EBADMSG;
    return r == -EAGAIN && sent == 0 ? r : -EPROTO;
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
    (void) SSL_shutdown(conn->ssl); /* the peer's answer is not waited for */
    ERR_clear_error();
    (void) send_records(conn);
}

void kn_http_tls_free(struct kn_http_conn *conn)
{
    kn_http_tls_close_notify(conn);
    SSL_free(conn->ssl);
    conn->ssl = NULL;
    kn_http_loop_give_buf(conn->loop, &conn->tls_out);
}

/* One record at a time comes out of SSL_read; they are gathered so that a body is handed on in
 * large pieces. */
static ssize_t read_records(struct kn_http_conn *conn, uint8_t *dst, size_t cap)
{
    size_t got = 0;
    while (got < cap) {
        int want = (int) kn_min_u64(cap - got, INT_MAX);
        int n = SSL_read(conn->ssl, dst + got, want);
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

ssize_t kn_http_tls_read(struct kn_http_conn *conn, void *dst, size_t cap)
{
    ERR_clear_error();
    ssize_t n = read_records(conn, dst, cap);
    if (conn->loop->records.len > 0 && send_records(conn) < 0) /* an answer to a key update */
        return -EIO;
    return n;
}

ssize_t kn_http_tls_write(struct kn_http_conn *conn, const void *ptr, size_t len)
{
    const uint8_t *from = ptr;
    size_t taken = 0;
    int r = 0;
    if (!kn_http_tls_flush(conn))
        return conn->failed ? -EIO : -EAGAIN;
    ERR_clear_error();
    while (r == 0 && taken < len && conn->loop->records.len < RECORDS_BYTES_MAX) {
        int n =
            SSL_write(conn->ssl, from + taken, (int) kn_min_u64(len - taken, RECORD_PLAIN_BYTES));
        if (n > 0)
            taken += (size_t) n;
        else
            r = outcome(conn, n);
    }
    int sent = send_records(conn);
    if (sent < 0)
        return -EIO;
    if (taken > 0)
        return (ssize_t) taken;
    return r == 0 ? -EIO : r;
}
