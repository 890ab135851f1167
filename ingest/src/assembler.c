/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives the Matroska parser and hands each fragment's bytes to the writer untouched. An event is
 * worked in three stages (before its bytes, its bytes, after them), each of which may stop for want
 * of room and goes on there. What the fragment itself is made of lies in fragment.c.
 */
#include "fragment.h"

#include <stdlib.h>

enum stage {
    STAGE_NONE,
    STAGE_BEFORE,
    STAGE_BYTES,
    STAGE_AFTER
};

struct pending { /* a commit under way */
    uint64_t cluster_at, timecode;
    struct storage_number number;
};

struct ingest_assembler {
    struct ingest_assembler_conf conf;
    struct kn_mkv_parser *parser;
    struct kn_mkv_event ev;
    enum stage stage;
    struct kn_bytes owed; /* of ev.raw (or lead), not yet with the writer */
    struct kn_buf lead;   /* Tags and Cluster head, until the Timestamp is known */
    size_t lead_tags_bytes;
    uint64_t cluster_at; /* offset of the fragment's Cluster in the upload */
    struct ingest_fragment fragment;
    bool stopping;
    enum ingest_error stop_error;
    uint64_t committed, keyless;
    struct pending pending[INGEST_PENDING_MAX];
    unsigned pending_first, pending_count;
    struct ingest_ack_queue acks;
    struct ingest_fault fault;
};

int ingest_assembler_new(const struct ingest_assembler_conf *conf, struct ingest_assembler **ret)
{
    struct ingest_assembler *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    a->conf = *conf;
    kn_buf_init(&a->lead, INGEST_LEAD_BYTES_MAX);
    ingest_fragment_init(&a->fragment, conf->limits, conf->seam);
    a->fragment.tracks_may_pause = conf->tracks_may_pause;
    int r = kn_mkv_parser_new(&a->parser);
    if (r < 0) {
        free(a);
        return r;
    }
    *ret = a;
    return 0;
}

void ingest_assembler_free(struct ingest_assembler *a)
{
    if (!a)
        return;
    kn_mkv_parser_free(a->parser);
    kn_buf_done(&a->lead);
    free(a);
}

/* --- faults and acknowledgements -------------------------------------------------------------- */

static void ack(struct ingest_assembler *a, enum ingest_ack_type type, uint64_t timecode,
                const struct storage_number *number)
{
    if (a->conf.errors_only)
        return;
    ingest_ack_push(&a->acks, &(struct ingest_ack){.type = type,
                                                   .has_timecode = true,
                                                   .timecode = timecode,
                                                   .has_number = true,
                                                   .number = *number});
}

static void drop_open(struct ingest_assembler *a)
{
    if (a->fragment.open)
        storage_writer_abort(a->conf.writer);
    a->fragment.open = false;
}

static int raise_fault(struct ingest_assembler *a, enum ingest_error error, const char *text)
{
    if (a->fault.set)
        return -ECANCELED;
    a->fault.set = true;
    a->fault.ack = (struct ingest_ack){.type = INGEST_ACK_ERROR, .error = error};
    if (a->fragment.named) {
        a->fault.ack.has_timecode = true;
        a->fault.ack.timecode = a->fragment.begin.timecode;
        a->fault.ack.has_number = a->fragment.open;
        a->fault.ack.number = a->fragment.stored.number;
    }
    snprintf(a->fault.text, sizeof a->fault.text, "%s", text);
    drop_open(a);
    return -ECANCELED;
}

/* Fault of the fragment at the element being worked on. */
static int raise_err(struct ingest_assembler *a, const struct kn_err *err)
{
    return raise_fault(a, (enum ingest_error) a->fragment.error, err->text);
}

static int raise_of(struct ingest_assembler *a, enum ingest_error error, uint32_t id,
                    uint64_t offset, const char *what)
{
    char text[KN_ERR_TEXT_BYTES_MAX];
    snprintf(text, sizeof text, "%s (0x%X) at byte %" PRIu64 ": %s", kn_mkv_name(id), (unsigned) id,
             offset, what);
    return raise_fault(a, error, text);
}

/* At the element being worked on. */
static int raise_at(struct ingest_assembler *a, enum ingest_error error, const char *what)
{
    return raise_of(a, error, a->ev.id, a->ev.offset, what);
}

/* What a writer's error means to the client; of the element with this id at offset. */
static int raise_writer_of(struct ingest_assembler *a, uint32_t id, uint64_t offset, int r,
                           const char *what)
{
    enum ingest_error error = INGEST_INTERNAL_ERROR;
    if (r == -EAGAIN)
        return r;
    if (r == -ENOSPC || r == -EIO || r == -ETIMEDOUT)
        error = INGEST_ARCHIVAL_ERROR;
    else if (r == -ESTALE)
        error = INGEST_STREAM_READ_ERROR; /* a newer upload has taken the stream */
    else if (r == -ENOENT)
        error = INGEST_STREAM_NOT_ACTIVE;
    else if (r == -EMSGSIZE)
        error = INGEST_MAX_FRAGMENT_SIZE_REACHED; /* more than storage's index can say */
    char text[96];
    snprintf(text, sizeof text, "storage: %s: %s", what, kn_errname(r));
    return raise_of(a, error, id, offset, text);
}

static int raise_writer(struct ingest_assembler *a, int r, const char *what)
{
    return raise_writer_of(a, a->ev.id, a->ev.offset, r, what);
}

static bool is_of_a_segment(uint32_t id)
{
    return id == KN_MKV_CLUSTER || id == KN_MKV_TIMESTAMP || id == KN_MKV_SIMPLE_BLOCK ||
           id == KN_MKV_BLOCK_GROUP || id == KN_MKV_TAGS;
}

static int raise_parser(struct ingest_assembler *a, int r, const struct kn_err *err)
{
    uint64_t offset = 0;
    uint32_t id = kn_mkv_parser_at(a->parser, &offset);
    enum ingest_error error = INGEST_INVALID_MKV_DATA;
    if (r == -ENODATA)
        error = INGEST_STREAM_READ_ERROR; /* the body ends inside an element */
    else if (r == -EBADMSG && offset == 0 && is_of_a_segment(id))
        /* the rest of a broken upload: what kvssink 3.6 sends first when a server has come back.
         * 4006 would make it discard the rest of that fragment, 4000 makes it send all of it again
         */
        error = INGEST_STREAM_READ_ERROR;
    else if (r == -ENOMEM)
        error = INGEST_INTERNAL_ERROR;
    else if (r == -EMSGSIZE && id == KN_MKV_TAGS)
        error = INGEST_FRAGMENT_METADATA_LIMIT_REACHED;
    return raise_fault(a, error, err->text);
}

void ingest_assembler_fail(struct ingest_assembler *a, enum ingest_error error, const char *text)
{
    uint64_t offset = 0;
    uint32_t id = kn_mkv_parser_at(a->parser, &offset);
    (void) (id ? raise_of(a, error, id, offset, text) : raise_fault(a, error, text));
}

void ingest_assembler_blame(struct ingest_assembler *a, enum ingest_error error)
{
    a->fault.ack.error = error;
}

void ingest_assembler_stop_at_next(struct ingest_assembler *a, enum ingest_error error)
{
    a->stopping = true;
    a->stop_error = error;
}

const struct ingest_fault *ingest_assembler_fault(const struct ingest_assembler *a)
{
    return &a->fault;
}

unsigned ingest_assembler_pending(const struct ingest_assembler *a)
{
    return a->pending_count;
}

bool ingest_assembler_is_open(const struct ingest_assembler *a)
{
    return a->fragment.open;
}

bool ingest_assembler_times(const struct ingest_assembler *a, struct ingest_times *ret)
{
    if (!a->fragment.open && !a->fragment.closed)
        return false;
    ingest_fragment_times(&a->fragment, ret);
    return true;
}

unsigned ingest_assembler_acks(const struct ingest_assembler *a)
{
    return a->acks.count;
}

bool ingest_assembler_pop(struct ingest_assembler *a, struct ingest_ack *ret)
{
    return ingest_ack_pop(&a->acks, ret);
}

uint64_t ingest_assembler_fragments(const struct ingest_assembler *a)
{
    return a->committed;
}

uint64_t ingest_assembler_keyless(const struct ingest_assembler *a)
{
    return a->keyless;
}

/* --- a fragment's life ------------------------------------------------------------------------ */

static int commit(struct ingest_assembler *a, bool end_tag, bool soon)
{
    struct storage_commit c;
    struct kn_err err;
    if (ingest_fragment_end(&a->fragment, &c, &err) < 0)
        return raise_err(a, &err);
    c.flags = end_tag ? STORAGE_FRAGMENT_END_TAG : 0;
    c.flush_soon = soon;
    int r = storage_writer_commit(a->conf.writer, &c);
    if (r < 0)
        return raise_writer_of(a, KN_MKV_CLUSTER, a->cluster_at, r, "commit");
    kn_assert(a->pending_count < INGEST_PENDING_MAX);
    a->pending[(a->pending_first + a->pending_count) % INGEST_PENDING_MAX] =
        (struct pending){a->cluster_at, a->fragment.begin.timecode, a->fragment.stored.number};
    a->pending_count++;
    a->committed++;
    a->keyless += ingest_fragment_is_keyless(&a->fragment);
    ingest_fragment_closed(&a->fragment);
    ack(a, INGEST_ACK_RECEIVED, a->fragment.begin.timecode, &a->fragment.stored.number);
    return 0;
}

/* The Cluster's Timestamp is known: the fragment gets its number. What waited in lead goes first.
 */
static int begin(struct ingest_assembler *a)
{
    struct kn_err err;
    if (a->stopping) {
        a->fragment.begin.timecode = a->ev.value;
        a->fragment.named = true;
        a->fault.silent = a->stop_error == INGEST_ERROR_NONE;
        return raise_fault(a, a->stop_error, a->fault.silent ? "stopping" : "connection too old");
    }
    if (ingest_fragment_begin(&a->fragment, &a->ev, a->conf.relative ? a->conf.start_ms : 0,
                              a->conf.relative, &err) < 0)
        return raise_err(a, &err);
    int r = storage_writer_begin(a->conf.writer, &a->fragment.begin, &a->fragment.stored);
    if (r < 0)
        return raise_writer_of(a, KN_MKV_CLUSTER, a->cluster_at, r, "begin");
    ingest_fragment_opened(&a->fragment, (uint32_t) a->lead_tags_bytes);
    ack(a, INGEST_ACK_BUFFERING, a->fragment.begin.timecode, &a->fragment.stored.number);
    return 0;
}

void ingest_assembler_committed(struct ingest_assembler *a, const struct storage_fragment *fragment,
                                int result)
{
    kn_assert(a->pending_count > 0);
    struct pending p = a->pending[a->pending_first];
    a->pending_first = (a->pending_first + 1) % INGEST_PENDING_MAX;
    a->pending_count--;
    if (result == 0) {
        if (!(fragment->flags & STORAGE_FRAGMENT_MEMORY))
            ack(a, INGEST_ACK_PERSISTED, p.timecode, &fragment->number);
        return;
    }
    drop_open(a);
    a->fault.set = a->fault.silent = false; /* what came later gives way */
    (void) raise_writer_of(a, KN_MKV_CLUSTER, p.cluster_at, result, "commit");
    a->fault.ack.has_timecode = a->fault.ack.has_number = true;
    a->fault.ack.timecode = p.timecode;
    a->fault.ack.number = p.number;
}

/* --- events ----------------------------------------------------------------------------------- */

static int lead_add(struct ingest_assembler *a, struct kn_bytes raw)
{
    int r = kn_buf_append(&a->lead, raw.ptr, raw.len);
    if (r == 0)
        return 0;
    if (r == -ENOMEM)
        return raise_fault(a, INGEST_INTERNAL_ERROR, "no memory");
    return raise_at(a,
                    a->ev.id == KN_MKV_TAGS ? INGEST_FRAGMENT_METADATA_LIMIT_REACHED
                                            : INGEST_INVALID_MKV_DATA,
                    "more than 128 KiB before a Cluster's Timestamp");
}

static int header(struct ingest_assembler *a)
{
    struct kn_mkv_header parsed;
    struct kn_err err;
    int r = kn_mkv_header_parse(a->ev.raw, &parsed, &err);
    if (r < 0)
        return raise_fault(
            a, r == -EDQUOT ? INGEST_MORE_THAN_ALLOWED_TRACKS_FOUND : INGEST_INVALID_MKV_DATA,
            err.text);
    if (ingest_fragment_header(&a->fragment, &parsed, &err) < 0)
        return raise_err(a, &err);
    r = storage_writer_header(a->conf.writer, a->ev.raw, &parsed);
    /* the event lies where the Cluster has ended it */
    return r < 0 ? raise_writer_of(a, KN_MKV_EBML, a->ev.offset, r, "header") : 0;
}

/* Tags: counted, then part of the open fragment, or kept for the next one. */
static int tags_before(struct ingest_assembler *a)
{
    struct kn_err err;
    if (ingest_fragment_tags(&a->fragment, &a->ev, &err) < 0)
        return raise_err(a, &err);
    if (a->fragment.open) {
        a->owed = a->ev.raw;
        return 0;
    }
    if (a->fragment.tags_only_end)
        return 0; /* ends nothing: there is no fragment */
    int r = lead_add(a, a->ev.raw);
    a->lead_tags_bytes = a->lead.len;
    return r;
}

/* Elements inside a Cluster: the open fragment's, or still waiting for the Timestamp. */
static int inner_before(struct ingest_assembler *a)
{
    if (a->fragment.open) {
        a->owed = a->ev.raw;
        return 0;
    }
    if (!a->fragment.closed)
        return lead_add(a, a->ev.raw);
    if (a->ev.kind != KN_MKV_EVENT_BLOCK && a->ev.kind != KN_MKV_EVENT_GROUP)
        return 0;
    /* only after a silence: END_OF_FRAGMENT closes the Cluster too. 4000 makes producers send again
     */
    return raise_at(a, INGEST_STREAM_READ_ERROR, "its fragment was closed after a silence");
}

static int cluster_before(struct ingest_assembler *a)
{
    if (a->fragment.open) {
        int r = commit(a, false, false);
        if (r < 0)
            return r;
    }
    ingest_fragment_reset(&a->fragment);
    a->cluster_at = a->ev.offset;
    return lead_add(a, a->ev.raw);
}

static int block_before(struct ingest_assembler *a)
{
    int r = inner_before(a);
    struct kn_err err;
    if (r == 0 && ingest_fragment_block(&a->fragment, &a->ev, &err) < 0)
        return raise_err(a, &err);
    return r;
}

static int before(struct ingest_assembler *a)
{
    int r = 0;
    a->owed = (struct kn_bytes){NULL, 0};
    switch (a->ev.kind) {
    case KN_MKV_EVENT_HEADER:
        return header(a);
    case KN_MKV_EVENT_TAGS:
        return tags_before(a);
    case KN_MKV_EVENT_CLUSTER:
        return cluster_before(a);
    case KN_MKV_EVENT_TIMESTAMP:
        r = begin(a);
        if (r == 0)
            r = lead_add(a, a->ev.raw);
        a->owed = kn_buf_bytes(&a->lead);
        return r;
    case KN_MKV_EVENT_BLOCK:
        return block_before(a);
    case KN_MKV_EVENT_GROUP:
    case KN_MKV_EVENT_DURATION:
        return inner_before(a);
    case KN_MKV_EVENT_OTHER:
    case KN_MKV_EVENT_DATA: /* what lies between Clusters is the file's furniture, not a fragment's
                             */
        return a->ev.in_cluster ? inner_before(a) : 0;
    case KN_MKV_EVENT_MORE:
    case KN_MKV_EVENT_BLOCK_END:
    case KN_MKV_EVENT_GROUP_END:
    case KN_MKV_EVENT_OTHER_END:
    case KN_MKV_EVENT_CLUSTER_END:
    case KN_MKV_EVENT_END:
        break;
    }
    return 0;
}

/* Marks the block's frames: one, or one a lace. */
static int mark_frames(struct ingest_assembler *a)
{
    struct storage_frame frame;
    for (unsigned i = 0; ingest_fragment_frame(&a->fragment, i, &frame); i++) {
        int r = storage_writer_mark(a->conf.writer, &frame);
        if (r < 0)
            return raise_writer(a, r, "mark");
    }
    return 0;
}

static int mark_other(struct ingest_assembler *a)
{
    if (!a->fragment.open || a->fragment.in_group)
        return 0;
    int r = storage_writer_mark(a->conf.writer, NULL);
    return r < 0 ? raise_writer(a, r, "mark") : 0;
}

static int after(struct ingest_assembler *a)
{
    struct ingest_fragment *f = &a->fragment;
    int r = 0;
    switch (a->ev.kind) {
    case KN_MKV_EVENT_TIMESTAMP:
        kn_buf_clear(&a->lead);
        a->lead_tags_bytes = 0;
        return mark_other(a);
    case KN_MKV_EVENT_TAGS:
        r = mark_other(a);
        return r == 0 && f->open && f->end_tag ? commit(a, true, true) : r;
    case KN_MKV_EVENT_BLOCK:
        f->block_offset = f->bytes;
        return 0;
    case KN_MKV_EVENT_BLOCK_END:
        return f->open && !f->in_group ? mark_frames(a) : 0;
    case KN_MKV_EVENT_GROUP:
        f->in_group = true;
        return 0;
    case KN_MKV_EVENT_DURATION:
        f->block_duration = a->ev.value;
        return 0;
    case KN_MKV_EVENT_GROUP_END:
        f->in_group = false;
        f->block.key = a->ev.block.key;
        return f->open ? mark_frames(a) : 0;
    case KN_MKV_EVENT_OTHER_END:
        return a->ev.in_cluster ? mark_other(a) : 0;
    case KN_MKV_EVENT_CLUSTER_END:
        f->cluster_end = f->bytes;
        return 0;
    case KN_MKV_EVENT_MORE:
    case KN_MKV_EVENT_HEADER:
    case KN_MKV_EVENT_CLUSTER:
    case KN_MKV_EVENT_OTHER:
    case KN_MKV_EVENT_DATA:
    case KN_MKV_EVENT_END:
        break;
    }
    return 0;
}

/* Gives the writer what is owed. 0 all of it, -EAGAIN, or a fault. */
static int forward(struct ingest_assembler *a)
{
    while (a->owed.len) {
        if (a->fragment.bytes + a->owed.len > a->conf.limits->fragment_bytes_max)
            return raise_at(a, INGEST_MAX_FRAGMENT_SIZE_REACHED, "the fragment is too large");
        ssize_t n = storage_writer_part(a->conf.writer, a->owed.ptr, a->owed.len);
        if (n < 0)
            return raise_writer(a, (int) n, "part");
        a->fragment.bytes += (uint64_t) n;
        a->owed.ptr += n;
        a->owed.len -= (size_t) n;
        if (a->owed.len)
            return -EAGAIN;
    }
    return 0;
}

/* Works the event as far as it goes. 0 done; -EAGAIN; -ECANCELED. */
static int work(struct ingest_assembler *a)
{
    int r = 0;
    if (a->stage == STAGE_BEFORE) {
        r = before(a);
        if (r < 0)
            return r;
        a->stage = STAGE_BYTES;
    }
    if (a->stage == STAGE_BYTES) {
        r = forward(a);
        if (r < 0)
            return r;
        a->stage = STAGE_AFTER;
    }
    if (a->stage == STAGE_AFTER) {
        r = after(a);
        if (r < 0)
            return r;
        a->stage = STAGE_NONE;
    }
    return 0;
}

/* Each event adds at most two acknowledgements and one commit; each commit will add one more. */
static bool has_room(const struct ingest_assembler *a)
{
    return a->pending_count + 1 < INGEST_PENDING_MAX &&
           a->acks.count + a->pending_count + 4 < INGEST_ACKS_MAX;
}

ssize_t ingest_assembler_feed(struct ingest_assembler *a, struct kn_bytes in)
{
    size_t given = in.len;
    struct kn_err err;
    for (;;) {
        if (a->fault.set)
            return -ECANCELED;
        int r = work(a);
        if (r == -EAGAIN && a->ev.kind == KN_MKV_EVENT_DATA) {
            /* these bytes are the caller's, who will give them again */
            kn_mkv_parser_put_back(a->parser, a->owed.len);
            a->stage = STAGE_NONE;
            return (ssize_t) (given - in.len - a->owed.len);
        }
        if (r == -EAGAIN || !has_room(a))
            return (ssize_t) (given - in.len);
        if (r < 0)
            return r;
        size_t taken = 0;
        r = kn_mkv_parser_next(a->parser, in, &taken, &a->ev, &err);
        if (r < 0)
            return raise_parser(a, r, &err);
        in = kn_bytes_skip(in, taken);
        if (a->ev.kind == KN_MKV_EVENT_MORE)
            return (ssize_t) given;
        a->stage = STAGE_BEFORE;
    }
}

int ingest_assembler_finish(struct ingest_assembler *a)
{
    struct kn_err err;
    ssize_t n = ingest_assembler_feed(a, (struct kn_bytes){(const uint8_t *) "", 0});
    if (n < 0)
        return (int) n;
    if (a->stage != STAGE_NONE || !has_room(a))
        return -EAGAIN;
    do {
        int r = kn_mkv_parser_finish(a->parser, &a->ev, &err);
        if (r < 0)
            return raise_parser(a, r, &err);
        a->stage = STAGE_BEFORE;
        r = work(a);
        if (r < 0)
            return r;
    } while (a->ev.kind != KN_MKV_EVENT_END);
    return a->fragment.open ? commit(a, false, true) : 0;
}

int ingest_assembler_close_fragment(struct ingest_assembler *a)
{
    if (a->fault.set)
        return -ECANCELED;
    if (!a->fragment.open)
        return -ENOENT;
    if (a->stage != STAGE_NONE || !has_room(a) || !kn_mkv_parser_is_whole(a->parser))
        return -EAGAIN;
    if (!a->fragment.cluster_end)
        a->fragment.cluster_end = a->fragment.bytes;
    return commit(a, false, true);
}

static_assert(sizeof(struct ingest_assembler) <= 17 << 10, "assembler.h states it");
