/* SPDX-License-Identifier: Apache-2.0 */
#include "srtp.h"

#include "srtp_openssl.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <srtp2/srtp.h>

enum {
    PACKET_BYTES_MAX = 65535, /* interleaved in RTSP, as over UDP */
    ADDED_BYTES_MAX = SRTP_MAX_TRAILER_LEN + 4,
    RTP_HEAD_BYTES = 12,
    RTCP_HEAD_BYTES = 8,
    REPLAY_WINDOW = 1024, /* packets */
    STRANGE_PACKETS = 20,
};

/* SRTCP's tags have 80 bits also where RTP's have 32 (RFC 4568, 6.2.2). */
static const struct {
    void (*rtp)(srtp_crypto_policy_t *policy);
    void (*rtcp)(srtp_crypto_policy_t *policy);
} suites[] = {
    [CAMERA_SRTP_AES_CM_128_80] = {srtp_crypto_policy_set_rtp_default,
                                   srtp_crypto_policy_set_rtcp_default           },
    [CAMERA_SRTP_AES_CM_128_32] = {srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32,
                                   srtp_crypto_policy_set_rtcp_default           },
    [CAMERA_SRTP_AES_CM_256_80] = {srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80,
                                   srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80},
    [CAMERA_SRTP_AES_CM_256_32] = {srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32,
                                   srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80},
    [CAMERA_SRTP_AES_GCM_128] = {srtp_crypto_policy_set_aes_gcm_128_16_auth,
                                   srtp_crypto_policy_set_aes_gcm_128_16_auth    },
    [CAMERA_SRTP_AES_GCM_256] = {srtp_crypto_policy_set_aes_gcm_256_16_auth,
                                   srtp_crypto_policy_set_aes_gcm_256_16_auth    },
};
_Static_assert(KN_ARRAY_LEN(suites) == CAMERA_SRTP_SUITES, "one each");

struct camera_srtp {
    srtp_t in, out;
    struct camera_srtp_key theirs, ours;
    uint64_t opened, refused;
    struct kn_buf packet; /* the last one, opened in its place */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static srtp_err_status_t add(srtp_t *session, struct camera_srtp_key *key, srtp_ssrc_t ssrc)
{
    srtp_master_key_t master = {key->bytes, key->mki, (unsigned) key->mki_len};
    srtp_master_key_t *masters = &master;
    srtp_policy_t policy = {.ssrc = ssrc, .window_size = REPLAY_WINDOW};
    suites[key->suite].rtp(&policy.rtp);
    suites[key->suite].rtcp(&policy.rtcp);
    if (key->mki_len > 0) {
        policy.keys = &masters;
        policy.num_master_keys = 1;
    } else {
        policy.key = key->bytes;
    }
    return *session ? srtp_add_stream(*session, &policy) : srtp_create(session, &policy);
}

/* GStreamer's plugin does the same, perhaps before us: whichever comes second is told an error that
 * means no more than that. */
static void begin_libsrtp(void)
{
    (void) !srtp_init();
    (void) camera_srtp_use_openssl(); /* else libsrtp is as good, and slower */
}

struct camera_srtp *camera_srtp_new(const struct camera_srtp_key *theirs,
                                    const struct camera_srtp_key *ours, uint32_t ssrc)
{
    struct camera_srtp *srtp = calloc(1, sizeof *srtp);
    if (!srtp)
        return NULL;
    srtp->theirs = *theirs;
    srtp->ours = *ours;
    kn_buf_init(&srtp->packet, PACKET_BYTES_MAX);
    (void) pthread_once(&once, begin_libsrtp);
    if (add(&srtp->in, &srtp->theirs, (srtp_ssrc_t){ssrc_any_inbound, 0}) != srtp_err_status_ok ||
        add(&srtp->out, &srtp->ours, (srtp_ssrc_t){ssrc_specific, ssrc}) != srtp_err_status_ok) {
        camera_srtp_free(srtp);
        return NULL;
    }
    return srtp;
}

static void give_up(srtp_t *session)
{
    if (*session)
        (void) srtp_dealloc(*session);
    *session = NULL;
}

void camera_srtp_free(struct camera_srtp *srtp)
{
    if (!srtp)
        return;
    give_up(&srtp->in);
    give_up(&srtp->out);
    kn_buf_done(&srtp->packet);
    OPENSSL_cleanse(srtp, sizeof *srtp);
    free(srtp);
}

static bool unprotect(struct camera_srtp *srtp, bool rtcp, struct kn_bytes packet, int *len)
{
    unsigned mki = srtp->theirs.mki_len > 0;
    kn_buf_clear(&srtp->packet);
    if (kn_buf_append(&srtp->packet, packet.ptr, packet.len) < 0)
        return false;
    *len = (int) packet.len;
    srtp_err_status_t status = rtcp ? srtp_unprotect_rtcp_mki(srtp->in, srtp->packet.ptr, len, mki)
                                    : srtp_unprotect_mki(srtp->in, srtp->packet.ptr, len, mki);
    return status == srtp_err_status_ok;
}

/* A session that counts from there for this sender. */
static bool begin_at(struct camera_srtp *srtp, uint32_t ssrc, uint32_t rolled_over)
{
    srtp->in = NULL;
    return add(&srtp->in, &srtp->theirs, (srtp_ssrc_t){ssrc_any_inbound, 0}) ==
               srtp_err_status_ok &&
           add(&srtp->in, &srtp->theirs, (srtp_ssrc_t){ssrc_specific, ssrc}) ==
               srtp_err_status_ok &&
           srtp_set_stream_roc(srtp->in, ssrc, rolled_over) == srtp_err_status_ok;
}

/* How often numbers have begun anew is part of what packets are sealed with; libsrtp begins with 0.
 * What a camera has told may be one less than what it sends by now. */
static bool begin(struct camera_srtp *srtp, struct kn_bytes packet, int *len)
{
    struct kn_reader r = kn_reader_of(kn_bytes_skip(packet, 8));
    uint32_t ssrc, told = srtp->theirs.rolled_over;
    if (kn_read_u32be(&r, &ssrc) < 0)
        return false;
    srtp_t before = srtp->in;
    for (uint32_t count = told ? told : 1; count <= (uint64_t) told + 1; count++) {
        if (begin_at(srtp, ssrc, count) && unprotect(srtp, false, packet, len)) {
            give_up(&before);
            return true;
        }
        give_up(&srtp->in);
        if (count == UINT32_MAX)
            break;
    }
    srtp->in = before;
    return false;
}

int camera_srtp_open(struct camera_srtp *srtp, bool rtcp, struct kn_bytes packet,
                     struct kn_bytes *ret)
{
    int len;
    size_t least = rtcp ? RTCP_HEAD_BYTES : RTP_HEAD_BYTES;
    bool good = packet.len >= least && packet.len <= PACKET_BYTES_MAX &&
                (unprotect(srtp, rtcp, packet, &len) ||
                 (!rtcp && srtp->opened == 0 && begin(srtp, packet, &len)));
    srtp->opened += good && !rtcp;
    srtp->refused += !good && !rtcp;
    if (!good)
        return -EBADMSG;
    *ret = (struct kn_bytes){srtp->packet.ptr, (size_t) len};
    return 0;
}

int camera_srtp_seal(struct camera_srtp *srtp, struct kn_bytes packet, struct kn_bytes *ret)
{
    int len = (int) packet.len;
    kn_buf_clear(&srtp->packet);
    if (kn_buf_append(&srtp->packet, packet.ptr, packet.len) < 0 ||
        kn_buf_reserve(&srtp->packet, ADDED_BYTES_MAX) < 0)
        return -EMSGSIZE;
    if (srtp_protect_rtcp_mki(srtp->out, srtp->packet.ptr, &len, srtp->ours.mki_len > 0, 0) !=
        srtp_err_status_ok)
        return -EBADMSG;
    *ret = (struct kn_bytes){srtp->packet.ptr, (size_t) len};
    return 0;
}

bool camera_srtp_is_strange(const struct camera_srtp *srtp)
{
    return srtp->opened == 0 && srtp->refused >= STRANGE_PACKETS;
}
