/* SPDX-License-Identifier: Apache-2.0 */
/* The awsJson module of the tests (tests/unit/api_wire): what stands behind its operations. */
#ifndef TESTS_UNIT_WIRE_MODULE_H
#define TESTS_UNIT_WIRE_MODULE_H

#include "wire_api.h"

struct wire {
    struct kn_api_call *later; /* suspended, to be resumed by the test */
    struct wire_Later_out *later_out;
    int released; /* what kn_api_keep was given */
    /* if set, gets it instead; on the request's loop */
    void (*take_later)(struct kn_api_call *call, struct wire_Later_out *out);
};

#endif
