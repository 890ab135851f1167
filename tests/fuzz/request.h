/* SPDX-License-Identifier: Apache-2.0 */
/* One request without a socket for fuzz targets: core's own request object over a backend that only
 * takes note. Jobs run on a worker and are waited for. */
#ifndef TESTS_FUZZ_REQUEST_H
#define TESTS_FUZZ_REQUEST_H

#include "http_req.h"

struct fuzz_request {
    struct kn_http_req base;
    int status; /* 0: not answered */
    bool streams;
    size_t answer_bytes;
};

/* The views of method, path, query, headers and body are the caller's, set in base before. Asks,
 * reads the whole answer, ends the request. */
void fuzz_request_ask(struct fuzz_request *req, const struct kn_http_ops *ops, void *ctx,
                      struct kn_bytes body);

#endif
