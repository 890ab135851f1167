/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the known names a mistyped one was meant to be: a setting, a flag, a command. Letters
 * put in, taken out or exchanged are counted; '-' and '_' are the same.
 */
#ifndef CORE_NEAREST_H
#define CORE_NEAREST_H

#include "core/bytes.h"

enum {
    KN_NEAREST_BYTES_MAX = 63 /* of a name; longer ones are near to none */
};

struct kn_nearest {
    struct kn_str name; /* borrowed */
    size_t least;
    const char *found; /* NULL: no name so far is a few letters from it */
};

void kn_nearest_init(struct kn_nearest *nearest, struct kn_str name);
/* One of the known names, which is borrowed. Of those as near the first stays. */
void kn_nearest_try(struct kn_nearest *nearest, const char *known);

#endif
