/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_fixture.h"

#include "core/crypto.h"

struct wire wire;

/* --- calls ------------------------------------------------------------------------------------ */
void open_wire(bool with_keys)
{
    open_engine(with_keys);
    wire = (struct wire){0};
    assert_ok(kn_api_add(api, &wire_api_service, &wire));
}

void make_call(const char *type, const char *operation, struct kn_bytes body)
{
    static char target[100];
    make_request("/", "");
    req.body = body;
    if (type)
        fake_http_header(&req, "content-type", kn_str_from(type));
    if (operation) {
        (void) snprintf(target, sizeof target, "Wire_20260101.%s", operation);
        fake_http_header(&req, "x-amz-target", kn_str_from(target));
    }
}

void sign_for_wire(const char *id, const char *secret)
{
    sign_as_service(id, secret, "kinesis");
}

void json_call(const char *operation, const char *body)
{
    open_wire(false);
    make_call(JSON_TYPE, operation, kn_bytes_of(kn_str_from(body)));
    run();
}

void cbor_call(const char *operation, const char *hex)
{
    static uint8_t bytes[8192];
    size_t len = strlen(hex) / 2;
    assert_true(len <= sizeof bytes);
    assert_ok(kn_hex_decode(kn_str_from(hex), bytes, len));
    open_wire(false);
    make_call(CBOR_TYPE, operation, (struct kn_bytes){bytes, len});
    run();
}
