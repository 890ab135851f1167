/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations of the engine (malloc, calloc, realloc, strdup by the linker's hand, and LMDB's
 * transactions) that a plan may make fail. */
#ifndef TESTS_FAULT_SIM_MEMORY_H
#define TESTS_FAULT_SIM_MEMORY_H

#include "sim_plan.h"

void sim_memory_begin(struct sim_plan *plan); /* in the process under test */
int sim_memory_step(void);                    /* 0, or -ENOMEM */

#endif
