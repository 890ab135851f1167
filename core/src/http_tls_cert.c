/* SPDX-License-Identifier: Apache-2.0 */
/* A self-signed certificate for a first start: ECDSA P-256 (about 2,000 full TLS 1.3 handshakes a
 * core and second), names localhost, 127.0.0.1 and ::1 as producers verify them. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/crypto.h"
#include "core/http_server.h"

enum {
    VALID_DAYS = 3650
};

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool fill(X509 *cert, EVP_PKEY *key)
{
    const unsigned char name_text[] = "Kinema (self-signed)";
    X509_NAME *name = X509_get_subject_name(cert);
    uint64_t serial = kn_random_u64() >> 1;
    return X509_set_version(cert, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL && /* clocks differ */
           X509_time_adj_ex(X509_getm_notAfter(cert), VALID_DAYS, 0, NULL) != NULL &&
           X509_set_pubkey(cert, key) == 1 &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, name_text, -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 &&
           add_extension(cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(cert, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
           add_extension(cert, NID_ext_key_usage, "serverAuth") &&
           add_extension(cert, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1") &&
           add_extension(cert, NID_subject_key_identifier, "hash") &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

static FILE *create(const char *path, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return NULL;
    (void) fchmod(fd, mode); /* also when the file was there before */
    FILE *file = fdopen(fd, "w");
    if (!file)
        close(fd);
    return file;
}

static int finish(FILE *file, bool ok)
{
    ok = ok && fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (fclose(file) != 0)
        ok = false;
    return ok ? 0 : -EIO;
}

static int write_pair(const char *cert_path, const char *key_path, X509 *cert, EVP_PKEY *key,
                      struct kn_err *err)
{
    FILE *file = create(key_path, 0600);
    if (!file || finish(file, PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1) < 0)
        return kn_fail(err, -EIO, "%s: cannot write: %s", key_path, kn_errname(errno));
    file = create(cert_path, 0644);
    if (!file || finish(file, PEM_write_X509(file, cert) == 1) < 0)
        return kn_fail(err, -EIO, "%s: cannot write: %s", cert_path, kn_errname(errno));
    return 0;
}

int kn_tls_self_signed(const char *cert_path, const char *key_path, struct kn_err *err)
{
    if (access(cert_path, R_OK) == 0 && access(key_path, R_OK) == 0)
        return 0;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    int r = key && cert && fill(cert, key)
                ? write_pair(cert_path, key_path, cert, key, err)
                : kn_fail(err, -ENOMEM, "%s: cannot make a certificate", cert_path);
    X509_free(cert);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return r;
}
