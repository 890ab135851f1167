/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operating errors: a function returns 0 or a negative errno of this closed list.
 *
 *   ENOMEM     out of memory, or a memory budget is spent
 *   ENOBUFS    a budget of memory is spent: later there is room again
 *   EIO        the disk or network failed; what was asked did not happen
 *   ENOSPC     the volume is full or below its floor
 *   ENOENT     there is no such thing
 *   EEXIST     there is one already
 *   EBUSY      somebody else holds it
 *   EAGAIN     not now without waiting; ask again after the announced wake-up
 *   ETIMEDOUT  the outcome is unknown
 *   ECANCELED  given up on purpose: aborted, replaced
 *   ENODATA    the input ends too early
 *   EINVAL     the argument is not of the right form
 *   EMSGSIZE   a stated ceiling would be passed
 *   EDQUOT     a configured quota would be passed
 *   EBADMSG    the bytes are corrupt or of another format
 *   EPROTO     the peer broke the protocol
 *   ESHUTDOWN  the owner is stopping
 *   ESTALE     fenced: a newer owner or version exists
 *   EACCES     not permitted
 */
#ifndef CORE_ERR_H
#define CORE_ERR_H

#include <errno.h>

#include "core/base.h"

enum {
    KN_ERR_TEXT_BYTES_MAX = 256
};

/* What went wrong, in words. Filled only by functions that know more than a number can say. */
struct kn_err {
    int code; /* negative errno */
    char text[KN_ERR_TEXT_BYTES_MAX];
};

/**
 * Records code and text in err (which may be NULL) and returns code, so that a caller can write
 * `return kn_fail(err, -EMSGSIZE, …)`. Never blocks; any thread.
 */
int kn_fail(struct kn_err *err, int code, const char *fmt, ...) KN_PRINTF(3, 4);

/* Puts "<prefix>: " before the text of err, which may be NULL. Returns err->code or code. */
int kn_fail_at(struct kn_err *err, int code, const char *prefix);

/* The symbolic name, such as "ENOSPC", of a positive or negative errno; never NULL. */
const char *kn_errname(int code);
/* The same in words, for people: "Permission denied". */
const char *kn_errsay(int code);

#endif
