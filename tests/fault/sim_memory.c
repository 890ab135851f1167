/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations that fail; see sim_memory.h. */
#include "sim_memory.h"

#include "sim_thread.h"

#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

static struct sim_plan *plan;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *before, size_t bytes);
char *__real_strdup(const char *text);
int __real_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **ret);
int __real_mdb_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **ret);
int __real_mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned flags);

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *before, size_t bytes);
char *__wrap_strdup(const char *text);
int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **ret);
int __wrap_mdb_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **ret);
int __wrap_mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned flags);

void sim_memory_begin(struct sim_plan *p)
{
    plan = p;
}

int sim_memory_step(void)
{
    return plan && sim_thread_is_inside() ? sim_plan_step(plan, SIM_MEMORY, 0) : 0;
}

static bool fails(void)
{
    if (sim_memory_step() == 0)
        return false;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t bytes)
{
    return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *before, size_t bytes)
{
    return fails() ? NULL : __real_realloc(before, bytes);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **ret)
{
    return fails() ? ENOMEM : __real_mdb_txn_begin(env, parent, flags, ret);
}

int __wrap_mdb_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **ret)
{
    return fails() ? ENOMEM : __real_mdb_cursor_open(txn, dbi, ret);
}

int __wrap_mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned flags)
{
    return fails() ? ENOMEM : __real_mdb_put(txn, dbi, key, data, flags);
}
