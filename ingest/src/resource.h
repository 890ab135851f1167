/* SPDX-License-Identifier: Apache-2.0 */
/* Which stream a request speaks of, and how it is shown. */
#ifndef INGEST_SRC_RESOURCE_H
#define INGEST_SRC_RESOURCE_H

#include "ingest_api.h"
#include "ingest_internal.h"

#include "storage/events.h"

/* The stream named by StreamName, StreamARN or both (which must agree); a reference. Otherwise the
 * fault has been raised and its code is returned. An ARN must also match in region, account and
 * creation time, so that one of a deleted stream does not reach its successor. Never blocks.
 * @source KVS API reference, DeleteStream (creation time in the ARN) */
int ingest_stream_find(struct ingest *ingest, struct kn_api_call *call, struct kn_str name,
                       struct kn_str arn, struct storage_stream **ret) KN_MUSTUSE;
/* The same, and it is not being deleted. */
int ingest_stream_find_active(struct ingest *ingest, struct kn_api_call *call, struct kn_str name,
                              struct kn_str arn, struct storage_stream **ret) KN_MUSTUSE;
/* Raises "The requested stream is not found or not active." */
int ingest_stream_not_found(struct kn_api_call *call) KN_MUSTUSE;
/* What a refused change of a stream's settings is answered with: for -ENOENT, -EBUSY, -ESTALE
 * and -EACCES the fault, otherwise r itself. */
int ingest_stream_change_fault(struct kn_api_call *call, int r) KN_MUSTUSE;

/* Raises a fault for keys that only our own operations set: a producer that may tag its stream must
 * not reach what they say, such as how much of it is kept. The tag of fragment events is judged by
 * ingest_events_by_tags. */
int ingest_tag_key_check(struct kn_api_call *call, struct kn_str key) KN_MUSTUSE;
/* Likewise of tags to be put, whose keys are not AWS's either. */
int ingest_tags_check(struct kn_api_call *call, const struct storage_tag *tags, size_t count)
    KN_MUSTUSE;

/* What tags say of fragment events (op_events.c), if those being put or removed have something to
 * say; the stream's tags have changed then. 0 or what the handler returns. */
int ingest_events_by_tags(struct ingest *ingest, struct kn_api_call *call,
                          const struct storage_stream *stream, const struct storage_tag *put,
                          size_t put_count, const struct kn_api_str_list *removed) KN_MUSTUSE;
/* The same of a stream that is to be made; room lives until it is. */
int ingest_events_of_new(struct ingest *ingest, struct kn_api_call *call,
                         struct storage_stream_new *settings,
                         uint8_t room[STORAGE_EVENT_SINK_BYTES]) KN_MUSTUSE;

/* The stream's own limit of bytes, in digits that outlive the change; empty: none. -EDQUOT: it has
 * as many tags as it may have. */
int ingest_retention_bytes_set(struct storage_stream_draft *draft, struct kn_str digits) KN_MUSTUSE;

/* In the call's arena; ptr NULL when that is spent. */
struct kn_str ingest_stream_arn(struct kn_api_call *call, const struct storage_stream *stream);
/* Everything copied into the arena. -ENOMEM when that is spent. */
int ingest_stream_info(struct kn_api_call *call, const struct storage_stream *stream,
                       struct ingest_StreamInfo *ret) KN_MUSTUSE;

#endif
