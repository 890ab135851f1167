/* SPDX-License-Identifier: Apache-2.0 */
#include "upload_notes.h"

#include "ingest_internal.h"
#include "upload_health.h"

#include "core/log.h"
#include "core/metrics.h"

static int64_t wall_ms(const struct ingest_upload_notes *notes)
{
    return kn_wall_ms(notes->ingest->clock);
}

void ingest_upload_notes_begin(struct ingest_upload_notes *notes, struct kn_str peer, bool relative)
{
    notes->metrics = ingest_upload_metrics_of(notes->stream->name);
    kn_metric_add(notes->metrics.uploads, 1);
    ingest_health_began(notes->ingest->healths, &notes->stream->id, wall_ms(notes));
    kn_log_info("upload_started",
                "stream=" KN_STR_FMT " request=%s peer=" KN_STR_FMT " timecodes=%s",
                KN_STR_ARG(notes->stream->name), notes->request_id, KN_STR_ARG(peer),
                relative ? "relative" : "absolute");
}

void ingest_upload_notes_bytes(struct ingest_upload_notes *notes, uint64_t bytes)
{
    notes->bytes += bytes;
    kn_metric_add(notes->metrics.bytes, (int64_t) bytes);
}

/* AWS takes fragments that do not begin with a key frame, and so do we; but who plays them sees
 * nothing at first. Said once an upload. */
static void look_at_keys(struct ingest_upload_notes *notes, uint64_t all)
{
    if (notes->keyless == all)
        return;
    if (notes->keyless == 0)
        kn_log_warn("upload_without_key_frames",
                    "stream=" KN_STR_FMT " request=%s said=\"a fragment does not begin with a key "
                    "frame: players that start there show nothing at first\"",
                    KN_STR_ARG(notes->stream->name), notes->request_id);
    ingest_upload_metrics_keyless(notes->stream->name, all - notes->keyless);
    ingest_health_keyless(notes->ingest->healths, &notes->stream->id, wall_ms(notes));
    notes->keyless = all;
}

void ingest_upload_notes_handed_in(struct ingest_upload_notes *notes,
                                   const struct ingest_assembler *assembler)
{
    uint64_t all = ingest_assembler_fragments(assembler);
    if (notes->handed_in == all)
        return;
    int64_t now_ns = kn_mono_ns(notes->ingest->clock);
    kn_metric_add(notes->metrics.fragments, (int64_t) (all - notes->handed_in));
    while (notes->handed_in < all)
        notes->handed_in_ns[notes->handed_in++ % INGEST_PENDING_MAX] = now_ns;
    look_at_keys(notes, ingest_assembler_keyless(assembler));
}

void ingest_upload_notes_committed(struct ingest_upload_notes *notes, int result, bool duplicate)
{
    int64_t since_ns = notes->handed_in_ns[notes->answered++ % INGEST_PENDING_MAX];
    if (result == 0)
        ingest_upload_metrics_persisted(kn_mono_ns(notes->ingest->clock) - since_ns);
    if (duplicate)
        kn_metric_add(notes->metrics.duplicates, 1);
}

void ingest_upload_notes_fault(struct ingest_upload_notes *notes, const struct ingest_ack *ack,
                               const char *text)
{
    ingest_upload_metrics_error(notes->stream->name, ack->error);
    ingest_health_failed(notes->ingest->healths, &notes->stream->id, wall_ms(notes), ack->error,
                         text);
    kn_log_warn("upload_error",
                "stream=" KN_STR_FMT " request=%s error=%d code=%s timecode=%" PRId64
                " text=" KN_LOG_QUOTED,
                KN_STR_ARG(notes->stream->name), notes->request_id, (int) ack->error,
                ingest_error_code(ack->error), ack->has_timecode ? (int64_t) ack->timecode : -1,
                kn_log_quote(kn_str_from(text)));
}

static const char *why_text(enum kn_http_why why)
{
    static const char *const texts[] = {
        [KN_HTTP_DONE] = "done",   [KN_HTTP_PEER_GONE] = "peer_gone", [KN_HTTP_TIMEOUT] = "timeout",
        [KN_HTTP_RESET] = "reset", [KN_HTTP_SHUTDOWN] = "shutdown",   [KN_HTTP_ERROR] = "error",
    };
    return texts[why];
}

void ingest_upload_notes_end(struct ingest_upload_notes *notes, enum kn_http_why why)
{
    kn_metric_add(notes->metrics.uploads, -1);
    ingest_health_ended(notes->ingest->healths, &notes->stream->id, wall_ms(notes));
    kn_log_info("upload_ended",
                "stream=" KN_STR_FMT " request=%s why=%s bytes=%" PRIu64 " fragments=%" PRIu64,
                KN_STR_ARG(notes->stream->name), notes->request_id, why_text(why), notes->bytes,
                notes->handed_in);
}
