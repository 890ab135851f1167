/* SPDX-License-Identifier: Apache-2.0 */
/* The data folder as commands see it that run beside a server: only the catalogue is opened. */
#ifndef SERVER_FOLDER_H
#define SERVER_FOLDER_H

#include "config.h"

#include "core/crypto.h"
#include "storage/meta.h"

/* Makes the folder (and its parents) unless it is there, mode 0700. err says what is wrong. */
int server_folder_make(const char *dir, struct kn_err *err) KN_MUSTUSE;

/* make: also for a folder that is not there yet; otherwise -ENOENT. A process of root becomes one
 * of the catalogue's owner, or else the folder's. */
int server_folder_catalogue(const struct server_config *config, bool make,
                            struct storage_meta **ret, struct kn_err *err) KN_MUSTUSE;

/* A key in a file of the folder, made at first. remedy: what to do about one that is damaged. */
int server_folder_key(const char *dir, const char *name, const char *remedy,
                      uint8_t ret_key[KN_AEAD_KEY_BYTES], struct kn_err *err) KN_MUSTUSE;

KN_DEFINE_CLEANUP(struct storage_meta *, storage_meta_close)

#endif
