/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of which one runs at a time, in an order that follows from a seed.
 *
 * The linker puts this in the place of core/thread.h's locks, conditions and thread starts (and of
 * pthread_join, the system's clock and kn_random), so the engine under test needs no other build
 * and no hook. A switch may happen wherever a lock is taken or a disk is asked; a wait with a
 * time-out ends when the simulated clock gets there, which it does at once if nobody else can run.
 * When nobody can ever run again the process ends with SIM_EXIT_HANG and says who waits.
 *
 * Off until sim_thread_begin: then everything behaves as usual.
 */
#ifndef TESTS_FAULT_SIM_THREAD_H
#define TESTS_FAULT_SIM_THREAD_H

#include "core/base.h"

/* The calling thread becomes the simulation's first. */
void sim_thread_begin(uint64_t seed);
bool sim_thread_is_on(void);
/* Another thread may run now. */
void sim_thread_pause(void);
/* Failing allocations strike the engine: its own threads, and the first one while it is inside a
 * call of the engine. */
void sim_thread_enter(void);
void sim_thread_leave(void);
bool sim_thread_is_inside(void);

#endif
