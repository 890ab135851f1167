/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engines with a fault built in, so that the suite can be asked whether it notices. The faults are
 * put in where the linker can reach: in the place of a call from one source file to another, or by
 * a disk that plays the code's omission. The engine's sources know nothing of it.
 */
#ifndef TESTS_FAULT_MUTANT_H
#define TESTS_FAULT_MUTANT_H

#include "sim_disk.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_NO_DATA_FLUSH,
    MUTANT_NO_FOLDER_FLUSH,
    MUTANT_NO_CATALOGUE_FLUSH,
    MUTANT_NO_CHECKSUM,
    MUTANT_ACK_BEFORE_FLUSH,
    MUTANT_ROW_BEFORE_FOOTER,
    MUTANT_NO_INTENT,
    MUTANT_NUMBERS_NOT_RESERVED,
    MUTANT_HORIZON_NOT_STORED,
    MUTANT_ROW_BEFORE_UNLINK,
    MUTANT_FLUSH_TRIED_AGAIN,
    MUTANT_FENCE_NOT_STORED,
    MUTANT_DURABLE_TOO_FAR,
    MUTANT_TAIL_NOT_CUT,
    MUTANT_DELETED_STREAM_KEPT,
    MUTANT_HOLDS_NOT_READ,
    MUTANT_HOLDS_NOT_ASKED,
    MUTANT_NO_VOLUME_FLUSH, /* and all that follow: of the volume's flush */
    MUTANT_VOLUME_FLUSH_DENIED,
    MUTANT_VOLUME_FLUSHED_AGAIN,
    MUTANT_DISK_KEEPS_CACHE,
    MUTANT_COUNT,
};

const char *mutant_name(enum mutant mutant);
/* In the parent, and in the process under test. */
void mutant_set(enum mutant mutant, struct sim_disk *disk);

#endif
