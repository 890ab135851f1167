/* SPDX-License-Identifier: Apache-2.0 */
/* What an I/O thread does for a stream, one operation at a time. */
#ifndef STORAGE_SRC_OPERATION_H
#define STORAGE_SRC_OPERATION_H

#include "log.h"

void storage_operation_run(struct storage_log *log, struct storage_op *op);

#endif
