/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of application/vnd.amazon.eventstream, as SubscribeToShard answers: lengths, a CRC of
 * them, string headers, payload, a CRC of all. Writing only; nothing here reads one.
 *
 * @source AWS, "Event stream encoding" (Smithy specification); checked against botocore's parser in
 *         tests/api/test_60_eventstream.py
 */
#ifndef CORE_EVENTSTREAM_H
#define CORE_EVENTSTREAM_H

#include "core/buf.h"

#define KN_EVENTSTREAM_CONTENT_TYPE "application/vnd.amazon.eventstream"

/* A message is begun, its payload appended to the same buf, and ended. Errors stick in the buf. */
struct kn_eventstream {
    size_t at;      /* where the message begins in the buf */
    size_t payload; /* and where its payload does */
};

/* {":message-type": "event", ":event-type": type, ":content-type": content_type} */
struct kn_eventstream kn_eventstream_event(struct kn_buf *dst, const char *type,
                                           const char *content_type);
/* {":message-type": "exception", ":exception-type": type, ":content-type": content_type} */
struct kn_eventstream kn_eventstream_exception(struct kn_buf *dst, const char *type,
                                               const char *content_type);
void kn_eventstream_end(struct kn_buf *dst, struct kn_eventstream message);

/* The whole first message: clients wait for it before they hand out the stream. */
void kn_eventstream_initial(struct kn_buf *dst, const char *content_type);

#endif
