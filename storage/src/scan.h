/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a chunk file without its footer: what recovery, check and dump have in common. */
#ifndef STORAGE_SRC_SCAN_H
#define STORAGE_SRC_SCAN_H

#include "log.h"

struct storage_scan {
    uint64_t cut_bytes;   /* after the last whole fragment */
    uint64_t bad_records; /* damage below what was durable */
    uint64_t unreadable;  /* sectors that the disk refuses */
};

/* Opens the file and reads its head into a chunk. -ENOENT; -EBADMSG: its head is not one of ours.
 */
int storage_scan_open(struct storage *storage, const char *path, bool writable,
                      struct storage_chunk **ret) KN_MUSTUSE;
/* The same for a chunk that the catalogue knows as open. A head that cannot be read is taken from
 * the intent, and counts as damage. Fills index and tail. Nothing at or after the intent's limit is
 * believed. writable: what the disk refuses to read is left out (patient.h). -ENODATA: not one
 * sound record, so, if nothing was unreadable, it was never flushed and nothing in it was promised.
 */
int storage_scan_open_intent(struct storage *storage, const char *path, bool writable,
                             const struct storage_intent *intent, struct storage_scan *ret_scan,
                             struct storage_chunk **ret) KN_MUSTUSE;
/* Reads the footer into the index. -EBADMSG: it is not sealed. */
int storage_scan_footer(struct storage_chunk *chunk) KN_MUSTUSE;
/* Fills index and tail. Nothing at or after limit is believed. Changes nothing on disk. -ENODATA:
 * no sound record; the tail then lies behind the head. */
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
