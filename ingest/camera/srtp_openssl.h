/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES and HMAC-SHA1 of libsrtp by OpenSSL, through libsrtp's own door for other implementations
 * (auth.h, cipher.h): Debian's libsrtp has them from NSS, which takes 5.1 µs for a packet of 1,400
 * bytes where OpenSSL takes 1.7. libsrtp tries each with vectors before it believes.
 */
#ifndef INGEST_CAMERA_SRTP_OPENSSL_H
#define INGEST_CAMERA_SRTP_OPENSSL_H

#include <stdbool.h>

/* For the whole process, once, behind srtp_init and before the first session. False: libsrtp does
 * not believe one of them, and keeps its own. */
bool camera_srtp_use_openssl(void);

#endif
