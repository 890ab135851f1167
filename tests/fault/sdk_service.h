/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for the service, in a process of its own, so that the calls, blocks and descriptors of
 * the SDK's process are the SDK's: DescribeStream, GetDataEndpoint and PutMedia
 * as far as a producer needs them, and over TLS keys for who shows a certificate. It keeps a
 * fragment when the next one or its end comes, and only then says PERSISTED.
 */
#ifndef TESTS_FAULT_SDK_SERVICE_H
#define TESTS_FAULT_SDK_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SDK_FRAGMENTS_MAX = 64,
    SDK_FRAMES_MAX = 1024,
    SDK_FRAGMENT_MS = 1000 /* a fragment's place is its time in these */
};

#define SDK_ROLE_ALIAS "camera"
#define SDK_KEY_ID     "ASIAEXAMPLE"

struct sdk_service;
/* certificate, key: files, for TLS; NULL: plain. */
struct sdk_service *sdk_service_start(const char *certificate, const char *key, char *ret_url,
                                      size_t cap);
void sdk_service_stop(struct sdk_service *service);
/* Frames of a fragment that was kept in that run; 0: it is not there. Each frame is
 * run * SDK_FRAMES_MAX + its number, in 4 bytes again and again; a frame with other bytes in it is
 * not kept. A run's number is greater than those before. */
unsigned sdk_service_kept(struct sdk_service *service, uint32_t run, size_t fragment);

#endif
