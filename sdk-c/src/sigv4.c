/* SPDX-License-Identifier: Apache-2.0 */
/* See sigv4.h. The service is kinesisvideo for all of Kinesis Video. */
#include "sigv4.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    HASH_BYTES = 32,
    HEX_BYTES = 2 * HASH_BYTES + 1,
    NAMES_BYTES_MAX = 512
};

static void hex(const uint8_t hash[HASH_BYTES], char dst[HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < HASH_BYTES; i++) {
        dst[2 * i] = digits[hash[i] >> 4];
        dst[2 * i + 1] = digits[hash[i] & 15];
    }
    dst[HEX_BYTES - 1] = '\0';
}

void sigv4_date(int64_t time_s, char dst[SIGV4_DATE_BYTES])
{
    time_t time = (time_t) time_s;
    struct tm tm;
    if (!gmtime_r(&time, &tm) || strftime(dst, SIGV4_DATE_BYTES, "%Y%m%dT%H%M%SZ", &tm) == 0)
        dst[0] = '\0';
}

static int feed(EVP_MD_CTX *ctx, const char *text)
{
    return EVP_DigestUpdate(ctx, text, strlen(text)) == 1;
}

/* The digest of the canonical request, and the names of its headers. */
static int canonical(const struct sigv4_request *request, char dst[HEX_BYTES],
                     char names[NAMES_BYTES_MAX])
{
    uint8_t hash[HASH_BYTES] = {0};
    char body[HEX_BYTES];
    size_t used = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok =
        ctx && EVP_Digest(request->body, request->body_len, hash, NULL, EVP_sha256(), NULL) == 1;
    hex(hash, body);
    ok = ok && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 && feed(ctx, "POST\n") &&
         feed(ctx, request->path) && feed(ctx, "\n\n");
    for (size_t i = 0; ok && i < request->header_count; i++) {
        const struct sigv4_header *header = &request->headers[i];
        int len =
            snprintf(names + used, NAMES_BYTES_MAX - used, "%s%s", i > 0 ? ";" : "", header->name);
        ok = len > 0 && (size_t) len < NAMES_BYTES_MAX - used && feed(ctx, header->name) &&
             feed(ctx, ":") && feed(ctx, header->value) && feed(ctx, "\n");
        used += ok ? (size_t) len : 0;
    }
    ok = ok && feed(ctx, "\n") && feed(ctx, names) && feed(ctx, "\n") && feed(ctx, body) &&
         EVP_DigestFinal_ex(ctx, hash, NULL) == 1;
    hex(hash, dst);
    EVP_MD_CTX_free(ctx);
    return ok ? 0 : -ENOMEM;
}

/* HMAC of a text, in place of the key. */
static int derive(uint8_t key[HASH_BYTES], size_t key_len, const void *from, const char *text)
{
    uint8_t out[HASH_BYTES];
    unsigned len = sizeof(out);
    if (!HMAC(EVP_sha256(), from, (int) key_len, (const uint8_t *) text, strlen(text), out, &len))
        return -ENOMEM;
    memcpy(key, out, sizeof(out));
    return 0;
}

int sigv4_sign(const struct sigv4_request *request, const struct kinema_credentials *key,
               char dst[SIGV4_AUTHORIZATION_BYTES_MAX])
{
    char digest[HEX_BYTES], names[NAMES_BYTES_MAX] = "", scope[128], text[512], day[9];
    char secret[4 + KINEMA_SECRET_BYTES_MAX + 1];
    uint8_t signing[HASH_BYTES] = {0};
    int len, code = canonical(request, digest, names);
    memcpy(day, request->date, 8);
    day[8] = '\0';
    len = snprintf(scope, sizeof(scope), "%s/%s/kinesisvideo/aws4_request", day, request->region);
    if (code == 0 && (len < 0 || (size_t) len >= sizeof(scope)))
        code = -EMSGSIZE;
    if (code < 0)
        return code;
    (void) snprintf(text, sizeof(text), "AWS4-HMAC-SHA256\n%s\n%s\n%s", request->date, scope,
                    digest);
    len = snprintf(secret, sizeof(secret), "AWS4%s", key->secret);
    code = derive(signing, (size_t) len, secret, day);
    OPENSSL_cleanse(secret, sizeof(secret));
    if (code == 0)
        code = derive(signing, HASH_BYTES, signing, request->region);
    if (code == 0)
        code = derive(signing, HASH_BYTES, signing, "kinesisvideo");
    if (code == 0)
        code = derive(signing, HASH_BYTES, signing, "aws4_request");
    if (code == 0)
        code = derive(signing, HASH_BYTES, signing, text);
    hex(signing, digest);
    len = snprintf(dst, SIGV4_AUTHORIZATION_BYTES_MAX,
                   "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", key->key_id,
                   scope, names, digest);
    return code < 0 ? code : len > 0 && len < SIGV4_AUTHORIZATION_BYTES_MAX ? 0 : -EMSGSIZE;
}
