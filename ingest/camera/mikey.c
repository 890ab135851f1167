/* SPDX-License-Identifier: Apache-2.0 */
#include "mikey.h"

#include "sdp.h"

#include <errno.h>

#include "core/crypto.h"

enum {
    VERSION = 1,
    PRE_SHARED = 0, /* data type (6.1) */
    MAP_OF_SRTP = 0,
    PROTOCOL_SRTP = 0, /* 6.10 */
    ALGORITHM_NONE = 0,
    AES_CM = 1, /* 6.10.1 */
    AES_GCM = 6,
    HMAC_SHA1 = 1,
    NTP_BYTES = 8,
    RANDOM_BYTES = 16,
    SESSIONS_MAX = 16,
};
static const int64_t ntp_epoch_s = 2208988800; /* from 1900 to 1970 */

enum payload { /* 6.1, table 6.1.b */
    LAST = 0,
    KEMAC = 1,
    TIMESTAMP = 5,
    ID = 6,
    RANDOM = 11,
    POLICY = 10,
    KEY_DATA = 20,
    EXTENSION = 21,
};

enum key_type { /* 6.13; those that are not encryption keys themselves are not known here */
    TEK = 2,
    TEK_SALT = 3,
};

/* Parameters of SRTP (6.10.1; RFC 7714, 14.3), or what stands for them when they are not said. */
struct policy {
    unsigned number;
    unsigned cipher, cipher_bytes, authentication, authentication_bytes, tag_bytes;
    bool rtp, rtcp, authenticated;
};

static int read_parameter(struct policy *policy, uint8_t type, struct kn_bytes value)
{
    if (value.len != 1)
        return -EBADMSG;
    uint8_t number = value.ptr[0];
    switch (type) {
    case 0:
        policy->cipher = number;
        return 0;
    case 1:
        policy->cipher_bytes = number;
        return 0;
    case 2:
        policy->authentication = number;
        return 0;
    case 3:
        policy->authentication_bytes = number;
        return 0;
    case 6: /* keys derived anew after so many packets */
        return number == 0 ? 0 : -ENOTSUP;
    case 7:
        policy->rtp = number != 0;
        return 0;
    case 8:
        policy->rtcp = number != 0;
        return 0;
    case 10:
        policy->authenticated = number != 0;
        return 0;
    case 11:
        policy->tag_bytes = number;
        return 0;
    case 12:
        return number == 0 ? 0 : -ENOTSUP;
    case 4: /* lengths that each suite has */
    case 5:
    case 9:
    case 20:
        return 0;
    default:
        return -ENOTSUP;
    }
}

static int read_policy(struct kn_reader *r, struct policy *policy)
{
    uint8_t number, protocol, type, bytes;
    uint16_t len;
    struct kn_bytes all, value;
    int e = kn_read_u8(r, &number);
    e = e < 0 ? e : kn_read_u8(r, &protocol);
    e = e < 0 ? e : kn_read_u16be(r, &len);
    e = e < 0 ? e : kn_read_bytes(r, len, &all);
    if (e < 0)
        return -EBADMSG;
    if (number != policy->number || protocol != PROTOCOL_SRTP)
        return 0;
    struct kn_reader params = kn_reader_of(all);
    while (kn_reader_left(&params) > 0) {
        if (kn_read_u8(&params, &type) < 0 || kn_read_u8(&params, &bytes) < 0 ||
            kn_read_bytes(&params, bytes, &value) < 0)
            return -EBADMSG;
        e = read_parameter(policy, type, value);
        if (e < 0)
            return e;
    }
    return 0;
}

/* The tag's length is a parameter of its own; GStreamer says it as the length of the key. */
static int suite_of(const struct policy *policy, enum camera_srtp_suite *ret)
{
    unsigned tag = policy->tag_bytes                   ? policy->tag_bytes
                   : policy->authentication_bytes == 4 ? 4
                                                       : 10;
    bool wide = policy->cipher_bytes == 32;
    if (!policy->rtp || !policy->rtcp || (policy->cipher_bytes != 16 && !wide))
        return -ENOTSUP;
    if (policy->cipher == AES_GCM)
        *ret = wide ? CAMERA_SRTP_AES_GCM_256 : CAMERA_SRTP_AES_GCM_128;
    else if (policy->cipher != AES_CM || policy->authentication != HMAC_SHA1 ||
             !policy->authenticated || (tag != 10 && tag != 4))
        return -ENOTSUP;
    else if (tag == 10)
        *ret = wide ? CAMERA_SRTP_AES_CM_256_80 : CAMERA_SRTP_AES_CM_128_80;
    else
        *ret = wide ? CAMERA_SRTP_AES_CM_256_32 : CAMERA_SRTP_AES_CM_128_32;
    return 0;
}

/* The key that packets are encrypted with, its salt behind it or in a field of its own (6.13). */
static int read_key(struct kn_bytes bytes, struct camera_srtp_key *ret)
{
    struct kn_reader r = kn_reader_of(bytes);
    uint8_t next, type;
    uint16_t len, salt_len = 0;
    struct kn_bytes key, salt = {NULL, 0}, mki = {NULL, 0};
    if (kn_read_u8(&r, &next) < 0 || kn_read_u8(&r, &type) < 0 || kn_read_u16be(&r, &len) < 0 ||
        kn_read_bytes(&r, len, &key) < 0)
        return -EBADMSG;
    unsigned valid = type & 15; /* 0: for ever; 1: for an MKI; 2: for an interval */
    type >>= 4;
    if (type != TEK && type != TEK_SALT)
        return -ENOTSUP;
    if (type == TEK_SALT &&
        (kn_read_u16be(&r, &salt_len) < 0 || kn_read_bytes(&r, salt_len, &salt) < 0))
        return -EBADMSG;
    if (valid == 1) {
        uint8_t mki_len;
        if (kn_read_u8(&r, &mki_len) < 0 || kn_read_bytes(&r, mki_len, &mki) < 0)
            return -EBADMSG;
    }
    if (valid > 1 || next != LAST || mki.len > CAMERA_SRTP_MKI_BYTES_MAX)
        return -ENOTSUP;
    if (key.len + salt.len > CAMERA_SRTP_KEY_BYTES_MAX)
        return -EBADMSG;
    memcpy(ret->bytes, key.ptr, key.len);
    if (salt.len > 0)
        memcpy(ret->bytes + key.len, salt.ptr, salt.len);
    ret->len = key.len + salt.len;
    if (mki.len > 0)
        memcpy(ret->mki, mki.ptr, mki.len);
    ret->mki_len = mki.len;
    return 0;
}

static int read_kemac(struct kn_reader *r, struct camera_srtp_key *ret)
{
    uint8_t cipher;
    uint16_t len;
    struct kn_bytes bytes;
    if (kn_read_u8(r, &cipher) < 0 || kn_read_u16be(r, &len) < 0 ||
        kn_read_bytes(r, len, &bytes) < 0)
        return -EBADMSG;
    return cipher == ALGORITHM_NONE ? read_key(bytes, ret) : -ENOTSUP;
}

/* Header (6.1): of several crypto sessions the first is this stream's. */
static int read_header(struct kn_reader *r, uint8_t *ret_next, struct policy *policy,
                       struct camera_srtp_key *key)
{
    uint8_t version, type, functions, sessions, map, number;
    uint32_t bundle, ssrc;
    struct kn_bytes others;
    if (kn_read_u8(r, &version) < 0 || kn_read_u8(r, &type) < 0 || kn_read_u8(r, ret_next) < 0 ||
        kn_read_u8(r, &functions) < 0 || kn_read_u32be(r, &bundle) < 0 ||
        kn_read_u8(r, &sessions) < 0 || kn_read_u8(r, &map) < 0)
        return -EBADMSG;
    if (version != VERSION || type != PRE_SHARED || map != MAP_OF_SRTP || sessions == 0 ||
        sessions > SESSIONS_MAX)
        return -ENOTSUP;
    if (kn_read_u8(r, &number) < 0 || kn_read_u32be(r, &ssrc) < 0 ||
        kn_read_u32be(r, &key->rolled_over) < 0 ||
        kn_read_bytes(r, (sessions - 1) * 9u, &others) < 0)
        return -EBADMSG;
    policy->number = number;
    return 0;
}

static int read_payload(struct kn_reader *r, uint8_t kind, struct policy *policy,
                        struct camera_srtp_key *key)
{
    uint8_t type, short_len;
    uint16_t len;
    struct kn_bytes skipped;
    switch (kind) {
    case POLICY:
        return read_policy(r, policy);
    case KEMAC:
        return read_kemac(r, key);
    case TIMESTAMP:
        if (kn_read_u8(r, &type) < 0)
            return -EBADMSG;
        return kn_read_bytes(r, type == 2 ? 4 : NTP_BYTES, &skipped) < 0 ? -EBADMSG : 0;
    case RANDOM:
        if (kn_read_u8(r, &short_len) < 0)
            return -EBADMSG;
        return kn_read_bytes(r, short_len, &skipped) < 0 ? -EBADMSG : 0;
    case ID:
    case EXTENSION:
        if (kn_read_u8(r, &type) < 0 || kn_read_u16be(r, &len) < 0)
            return -EBADMSG;
        return kn_read_bytes(r, len, &skipped) < 0 ? -EBADMSG : 0;
    default:
        return -ENOTSUP;
    }
}

static int read_message(struct kn_bytes message, struct camera_srtp_key *ret)
{
    struct kn_reader r = kn_reader_of(message);
    struct policy policy = {.cipher = AES_CM,
                            .cipher_bytes = 16,
                            .authentication = HMAC_SHA1,
                            .rtp = true,
                            .rtcp = true,
                            .authenticated = true};
    uint8_t kind, next;
    int e = read_header(&r, &kind, &policy, ret);
    while (e == 0 && kind != LAST && ret->len == 0) { /* keys come last */
        if (kn_read_u8(&r, &next) < 0)
            return -EBADMSG;
        e = read_payload(&r, kind, &policy, ret);
        kind = next;
    }
    if (e == 0)
        e = suite_of(&policy, &ret->suite);
    if (e == 0 && ret->len != camera_srtp_key_len(ret->suite) + camera_srtp_salt_len(ret->suite))
        e = -EBADMSG;
    return e;
}

int camera_mikey_read(struct kn_str key_mgmt, struct camera_srtp_key *ret)
{
    struct kn_str protocol, data = kn_str_trim(kn_str_cut(kn_str_trim(key_mgmt), ' ', &protocol));
    struct kn_buf message;
    *ret = (struct camera_srtp_key){.len = 0};
    if (!kn_str_eq_nocase(protocol, KN_STR("mikey")))
        return -ENOTSUP;
    kn_buf_init(&message, CAMERA_MIKEY_BYTES_MAX);
    int r = camera_base64(data, &message);
    r = r < 0 ? -EBADMSG : read_message(kn_buf_bytes(&message), ret);
    if (r < 0)
        camera_srtp_key_wipe(ret);
    camera_srtp_wipe(&message);
    return r;
}

/* --- writing ---------------------------------------------------------------------------------- */
static void put_head(const struct camera_srtp_key *key, uint32_t ssrc, int64_t now_ms,
                     struct kn_buf *out)
{
    uint8_t head[10 + 9] = {VERSION, PRE_SHARED, TIMESTAMP, 0};
    uint8_t time[2 + NTP_BYTES] = {RANDOM, 0}, random[2 + RANDOM_BYTES] = {POLICY, RANDOM_BYTES};
    kn_random(head + 4, 4);
    head[8] = 1; /* sessions */
    kn_put_u32be(head + 11, ssrc);
    kn_put_u32be(head + 15, key->rolled_over);
    kn_put_u32be(time + 2, (uint32_t) (now_ms / 1000 + ntp_epoch_s));
    kn_random(random + 2, RANDOM_BYTES);
    (void) kn_buf_append(out, head, sizeof head);
    (void) kn_buf_append(out, time, sizeof time);
    (void) kn_buf_append(out, random, sizeof random);
}

static void put_policy(const struct camera_srtp_key *key, struct kn_buf *out)
{
    bool gcm = key->suite >= CAMERA_SRTP_AES_GCM_128;
    bool brief = key->suite == CAMERA_SRTP_AES_CM_128_32 || key->suite == CAMERA_SRTP_AES_CM_256_32;
    uint8_t tag = gcm ? 16 : brief ? 4 : 10;
    const uint8_t params[][3] = {
        {0,  1, gcm ? AES_GCM : AES_CM                   },
        {1,  1, (uint8_t) camera_srtp_key_len(key->suite)},
        {2,  1, gcm ? ALGORITHM_NONE : HMAC_SHA1         },
        {3,  1, tag                                      },
        {7,  1, 1                                        },
        {8,  1, 1                                        },
        {10, 1, 1                                        },
        {11, 1, tag                                      },
    };
    const uint8_t head[] = {KEMAC, 0, PROTOCOL_SRTP, 0, sizeof params};
    (void) kn_buf_append(out, head, sizeof head);
    (void) kn_buf_append(out, params, sizeof params);
}

static void put_key(const struct camera_srtp_key *key, struct kn_buf *out)
{
    const uint8_t head[] = {LAST, ALGORITHM_NONE, 0, (uint8_t) (4 + key->len),
                            LAST, TEK << 4,       0, (uint8_t) key->len};
    const uint8_t authentication = ALGORITHM_NONE;
    (void) kn_buf_append(out, head, sizeof head);
    (void) kn_buf_append(out, key->bytes, key->len);
    (void) kn_buf_append(out, &authentication, 1);
}

void camera_mikey_write(const struct camera_srtp_key *key, uint32_t ssrc, const char *uri,
                        int64_t now_ms, struct kn_buf *out)
{
    struct kn_buf message;
    kn_buf_init(&message, CAMERA_MIKEY_BYTES_MAX);
    put_head(key, ssrc, now_ms, &message);
    put_policy(key, &message);
    put_key(key, &message);
    (void) kn_buf_printf(out, "prot=mikey;uri=\"%s\";data=\"", uri);
    (void) kn_base64_encode(kn_buf_bytes(&message), false, out);
    (void) kn_buf_printf(out, "\"");
    if (message.error)
        out->error = message.error;
    camera_srtp_wipe(&message);
}
