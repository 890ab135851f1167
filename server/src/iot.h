/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys for devices that have a certificate: what AWS IoT's credential provider answers, so that its
 * clients find it here (docs/devices.md). The certificate says which thing asks; the role alias in
 * the path is the id of an access key whose grants the temporary key has.
 */
#ifndef SERVER_IOT_H
#define SERVER_IOT_H

#include "core/clock.h"
#include "core/http.h"
#include "storage/credential.h"

struct server_iot {
    struct storage_keyring *keyring;
    struct kn_clock *clock;
    int64_t key_ms;
};
extern const struct kn_http_ops server_iot_ops; /* ctx: struct server_iot * */

#endif
