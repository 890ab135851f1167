/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A camera that is a file, or the files of a folder by their names: played at their own speed, with
 * the times at which they are played, and then again from the first. Where they go on with the same
 * tracks no new header is given, so that an upload goes on too.
 */
#ifndef INGEST_CAMERA_FILE_H
#define INGEST_CAMERA_FILE_H

#include "source.h"

struct camera_file;
/* Of a URL that camera_file_is takes. Calls come as from a source. */
struct camera_file *camera_file_start(const struct camera_source_conf *conf,
                                      const struct camera_source_ops *ops, void *ctx);
bool camera_file_is(const char *url);             /* file:// */
void camera_file_check(struct camera_file *file); /* Each second or so: one that has nothing more
                                                     to give, and does not end, fails. */
void camera_file_facts(struct camera_file *file, struct camera_facts *ret);
void camera_file_stop(struct camera_file *file); /* as camera_source_stop */

#endif
