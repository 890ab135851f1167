/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A body through the whole engine as awsJson or (first byte odd) CBOR, into an operation that
 * answers what it was given. An answer is itself a valid request, and gives the same answer again.
 */
#include "wire_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_buf once;
    if (size < 1 || size > 1 << 20)
        return 0;
    const char *type = data[0] & 1 ? CBOR_TYPE : JSON_TYPE;
    if (!api)
        open_wire(false);
    make_call(type, "Echo", (struct kn_bytes){data + 1, size - 1});
    run();
    kn_assert(req.status == 200 || req.status == 400 || req.status >= 500);
    if (req.status != 200)
        return 0;
    kn_buf_init(&once, req.answer.len + 1);
    kn_assert(kn_buf_append(&once, req.answer.ptr, req.answer.len) == 0);
    make_call(type, "Echo", kn_buf_bytes(&once));
    run();
    kn_assert(req.status == 200);
    kn_assert(kn_str_eq(kn_buf_str(&req.answer), kn_buf_str(&once)));
    kn_buf_done(&once);
    return 0;
}
