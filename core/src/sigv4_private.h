/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of sigv4: the canonical form of a request. */
#ifndef CORE_SRC_SIGV4_PRIVATE_H
#define CORE_SRC_SIGV4_PRIVATE_H

#include "core/sigv4.h"

/* Clients differ in how they write the path: normalised and encoded once more (the rule), as it was
 * sent (AWS's C producer), or encoded without normalising. */
enum kn_sigv4_path_form {
    KN_SIGV4_PATH_NORMAL,
    KN_SIGV4_PATH_AS_SENT,
    KN_SIGV4_PATH_ENCODED
};

struct kn_sigv4_form {
    enum kn_sigv4_path_form path;
    bool token_left_out; /* X-Amz-Security-Token was added to the query after signing */
};

/* Appends the canonical path alone. */
void kn_sigv4_canonical_path(struct kn_str path, enum kn_sigv4_path_form form, struct kn_buf *dst);

/* Appends the canonical request; errors stick in dst. -EINVAL: a signed header is missing, or the
 * query is malformed or too long. */
int kn_sigv4_canonical(const struct kn_sigv4_request *req, struct kn_str signed_headers,
                       struct kn_str payload, const struct kn_sigv4_form *form, struct kn_buf *dst)
    KN_MUSTUSE;

/* The idx-th header of this name; ":authority" and "host" stand for each other. NULL: no more. */
const struct kn_sigv4_header *kn_sigv4_find(const struct kn_sigv4_request *req, struct kn_str name,
                                            size_t idx);

/* Percent-encodes all but unreserved characters (and '/', when keep_slash). */
void kn_sigv4_encode(struct kn_str s, bool keep_slash, struct kn_buf *dst);
/* -EINVAL: a broken %XX. */
int kn_sigv4_decode(struct kn_str s, struct kn_buf *dst) KN_MUSTUSE;

#endif
