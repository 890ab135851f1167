/* SPDX-License-Identifier: Apache-2.0 */
/* What an I/O thread does for a stream, one operation at a time. */
#ifndef STORAGE_SRC_OPERATION_H
#define STORAGE_SRC_OPERATION_H

#include "log.h"

/* Whether it waits for the disk, or copies so much that others had better not wait for it. */
bool storage_operation_is_slow(const struct storage_op *op);
/* It makes a chunk whose intent has to be stored first (intents.h). */
bool storage_operation_lacks_intent(const struct storage_op *op);
void storage_operation_run(struct storage_log *log, struct storage_op *op);

#endif
