/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind struct storage, for the files of this folder. */
#ifndef STORAGE_SRC_STORAGE_INTERNAL_H
#define STORAGE_SRC_STORAGE_INTERNAL_H

#include "catalogue.h"

struct storage {
    struct storage_catalogue *catalogue;
};

#endif
