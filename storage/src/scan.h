/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a chunk file without its footer: what recovery, check and dump have in common. */
#ifndef STORAGE_SRC_SCAN_H
#define STORAGE_SRC_SCAN_H

#include "log.h"

struct storage_scan {
    uint64_t cut_bytes;   /* after the last whole fragment */
    uint64_t bad_records; /* damage below what was durable */
};

/* Opens the file for writing and reads its head into a chunk. -ENOENT; -ENODATA: it ends before its
 * head does; -EBADMSG: its head is not one of ours, or of another chunk. */
int storage_scan_open(struct storage *storage, const struct storage_id *stream,
                      const struct storage_number *name, const char *path,
                      struct storage_chunk **ret) KN_MUSTUSE;
/* Fills index and tail. Nothing at or after limit is believed. Changes nothing on disk. */
int storage_scan_tail(struct storage_chunk *chunk, uint64_t limit, struct storage_scan *ret)
    KN_MUSTUSE;
/* Gives abandoned bytes between the fragments the Void head that a crash may have kept away. */
int storage_scan_void_gaps(struct storage_chunk *chunk) KN_MUSTUSE;

/* Offset of the Segment's first child in a chunk file, from its first bytes. */
int storage_scan_segment(struct kn_bytes start, uint32_t *ret) KN_MUSTUSE;
/* Reads the record at offset whole. *buf is reused; the record's body points into it. */
int storage_scan_record(struct kn_file *file, uint64_t offset, uint32_t seed, struct kn_buf *buf,
                        struct storage_record *ret) KN_MUSTUSE;
/* Compares a fragment's bytes with its checksum: 0, -EBADMSG, or a read error. */
int storage_scan_payload(struct kn_file *file, const struct storage_fragment *fragment,
                         uint32_t crc) KN_MUSTUSE;

#endif
