/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One round: a world from its birth through a few lives, all of it from one seed. Each life ends
 * in order, by a kill, by a power cut at any call, or runs with a call that fails once or for
 * good; so may the recovery after it. After each life the judge looks.
 */
#ifndef TESTS_FAULT_ROUND_H
#define TESTS_FAULT_ROUND_H

#include "world.h"

struct round_result {
    bool broken;
    char story[400]; /* what was made to go wrong, in order */
    char why[500];
};
/* false: the promise was broken; *ret says how. */
bool round_run(struct world *w, uint64_t seed, struct round_result *ret);

/* How many, from KINEMA_ROUNDS; else `few`, or `many` under ./check --long. */
uint64_t round_count(uint64_t few, uint64_t many);
bool round_is_long(void);
/* The first seed: KINEMA_SEED, else `otherwise`. */
uint64_t round_first_seed(uint64_t otherwise);

#endif
