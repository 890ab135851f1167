/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of SRTP, as a session description tells them: in `a=crypto` (RFC 4568), or in `a=key-mgmt`,
 * which is mikey.h. Pure.
 */
#ifndef INGEST_CAMERA_SRTP_KEY_H
#define INGEST_CAMERA_SRTP_KEY_H

#include "core/buf.h"

enum {
    CAMERA_SRTP_KEY_BYTES_MAX = 46, /* a key of 256 bits and its salt of 112 */
    CAMERA_SRTP_MKI_BYTES_MAX = 128,
};

enum camera_srtp_suite {
    CAMERA_SRTP_AES_CM_128_80, /* HMAC-SHA1, tags of 80 bits */
    CAMERA_SRTP_AES_CM_128_32,
    CAMERA_SRTP_AES_CM_256_80,
    CAMERA_SRTP_AES_CM_256_32,
    CAMERA_SRTP_AES_GCM_128,
    CAMERA_SRTP_AES_GCM_256,
    CAMERA_SRTP_SUITES
};

struct camera_srtp_key {
    enum camera_srtp_suite suite;
    uint8_t bytes[CAMERA_SRTP_KEY_BYTES_MAX]; /* master key, then master salt */
    size_t len;
    uint8_t mki[CAMERA_SRTP_MKI_BYTES_MAX];
    size_t mki_len; /* 0: packets name no key */
    /* How often the sequence numbers had begun anew when the key was told; 0 is also "not said". */
    uint32_t rolled_over;
};

/* Bytes of master key and master salt. */
size_t camera_srtp_key_len(enum camera_srtp_suite suite);
size_t camera_srtp_salt_len(enum camera_srtp_suite suite);
void camera_srtp_key_wipe(struct camera_srtp_key *key);
void camera_srtp_wipe(struct kn_buf *text); /* that had a key in it; leaves it empty */
/* What follows "a=crypto:". -EBADMSG: it cannot be read; -ENOTSUP: a suite or a parameter that we
 * do not know. */
int camera_srtp_key_read(struct kn_str crypto, struct camera_srtp_key *ret) KN_MUSTUSE;
/* A key of our own, by chance. */
void camera_srtp_key_make(enum camera_srtp_suite suite, struct camera_srtp_key *ret);

#endif
