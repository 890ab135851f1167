/* SPDX-License-Identifier: Apache-2.0 */
/* What GetMedia and its like send, taken apart: one Matroska document after the other. */
#ifndef TESTS_UNIT_DOCUMENTS_H
#define TESTS_UNIT_DOCUMENTS_H

#include "capture.h"

enum {
    DOCUMENT_TAGS_MAX = 16
};

struct document {
    const uint8_t *start; /* the EBML element */
    size_t len;
    size_t segment; /* offsets from start; 0: there is none */
    size_t cluster, cluster_end;
    size_t first_tags; /* the Tags right before the Cluster (or the last ones without one) */
    size_t last_tags;  /* the last Tags after the Cluster; 0: none */
    size_t frame_count;
    size_t void_count; /* in or after the Cluster */
};

/* Fails the test when the bytes are not whole documents one after the other. Free the array. */
struct document *documents_of(const void *bytes, size_t len, size_t *ret_count);

/* The value of a SimpleTag in the Tags element at this offset; fails when it is not there. */
struct kn_str document_tag(const struct document *doc, size_t tags, const char *name);
bool document_has_tag(const struct document *doc, size_t tags, const char *name);

/* The shape of a Tags element: ids, widths of the size fields and tag names, without the values. */
void document_tags_shape(const struct document *doc, size_t tags, char *dst, size_t cap);

#endif
