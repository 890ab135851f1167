/* SPDX-License-Identifier: Apache-2.0 */
/* An uploader for tests of the storage; see storage_rig.h. */
#include "storage_rig.h"

#include "test.h"

#include "storage/shard.h"

struct storage_conf rig_conf(void)
{
    struct storage_conf conf;
    struct kn_conf_table table = {.title = "storage",
                                  .keys = storage_conf_keys,
                                  .count = storage_conf_key_count,
                                  .target = &conf};
    assert_ok(kn_conf_defaults(&table, 1));
    conf.ballast_bytes = 0;
    conf.volume_free_bytes_min = 0;
    conf.volume_margin_bytes = 0;
    conf.catalogue_bytes_max = MIB(64);
    conf.io_threads = 2;
    conf.linger_ms = 0;
    conf.retention_interval_ms = 3600 * 1000; /* tests call rounds themselves */
    return conf;
}

struct storage *rig_open_with_shards(const char *dir, struct kn_fs *fs)
{
    struct kn_err err = {0};
    struct storage *storage;
    struct storage_conf conf = rig_conf();
    struct storage_shard_conf shards;
    struct storage_shards_report report = {0};
    struct kn_conf_table table = {.title = "shards",
                                  .keys = storage_shard_conf_keys,
                                  .count = storage_shard_conf_key_count,
                                  .target = &shards};
    assert_ok(kn_conf_defaults(&table, 1));
    assert_ok(storage_open(dir, &conf, fs, kn_clock_system(), &storage, NULL, &err));
    assert_ok(storage_shards_start(storage, &shards, &report, &err));
    return storage;
}

size_t rig_chunk_files(const char *dir)
{
    char line[200], text[32];
    snprintf(line, sizeof(line), "find %s/chunks -name '*.mkv' | wc -l", dir);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(text, sizeof(text), pipe));
    pclose(pipe);
    return strtoull(text, NULL, 10);
}

struct storage_id rig_stream(struct storage *storage, const char *name, uint32_t retention_hours)
{
    struct storage_stream_new settings = {.name = kn_str_from(name),
                                          .retention_hours = retention_hours};
    struct storage_stream *stream;
    int r = storage_stream_create(storage, &settings, &stream);
    if (r == -EEXIST) {
        stream = storage_stream_find(storage, kn_str_from(name));
        assert_non_null(stream);
    } else {
        assert_ok(r);
    }
    struct storage_id id = stream->id;
    storage_stream_unref(stream);
    return id;
}

static void on_committed(void *ctx, const struct storage_fragment *fragment, bool duplicate,
                         int result)
{
    struct rig_upload *up = ctx;
    KN_LOCKED(&up->lock);
    kn_assert(up->commit_count < RIG_COMMITS_MAX);
    up->commits[up->commit_count++] = (struct rig_commit){*fragment, duplicate, result};
    kn_cond_broadcast(&up->moved);
}

static void on_writable(void *ctx)
{
    struct rig_upload *up = ctx;
    KN_LOCKED(&up->lock);
    up->writable++;
    kn_cond_broadcast(&up->moved);
}

static void on_followed(void *ctx)
{
    struct rig_upload *up = ctx;
    KN_LOCKED(&up->lock);
    up->followed++;
}

static void on_closed(void *ctx)
{
    struct rig_upload *up = ctx;
    KN_LOCKED(&up->lock);
    up->closed = true;
    kn_cond_broadcast(&up->moved);
}

int rig_upload_open(struct rig_upload *up, struct storage *storage, const struct storage_id *stream,
                    bool fence)
{
    static const struct storage_writer_events events = {
        .committed = on_committed, .writable = on_writable, .followed = on_followed};
    *up = (struct rig_upload){.storage = storage, .stream = *stream};
    kn_lock_init(&up->lock);
    kn_cond_init(&up->moved);
    up->commits = calloc(RIG_COMMITS_MAX, sizeof(*up->commits));
    kn_assert(up->commits != NULL);
    int r = storage_writer_open(storage, stream, fence, &events, up, &up->w);
    if (r < 0)
        rig_upload_done(up);
    return r;
}

void rig_upload_done(struct rig_upload *up)
{
    free(up->commits);
    kn_cond_done(&up->moved);
    kn_lock_done(&up->lock);
    *up = (struct rig_upload){0};
}

static uint64_t writable_seen(struct rig_upload *up)
{
    KN_LOCKED(&up->lock);
    return up->writable;
}

static void wait_writable(struct rig_upload *up, uint64_t seen)
{
    KN_LOCKED(&up->lock);
    while (up->writable == seen)
        kn_cond_wait(&up->moved, &up->lock);
}

void rig_upload_header(struct rig_upload *up, const struct capture *capture)
{
    struct kn_bytes bytes = {capture->bytes, capture->header_bytes};
    struct kn_mkv_header parsed;
    struct kn_err err;
    assert_ok(kn_mkv_header_parse(bytes, &parsed, &err));
    assert_ok(storage_writer_header(up->w, bytes, &parsed));
}

int rig_upload_begin(struct rig_upload *up, uint64_t timecode, int64_t producer_ts_ms,
                     uint32_t flags, struct storage_fragment *ret)
{
    struct storage_begin begin = {
        .producer_ts_ms = producer_ts_ms, .timecode = timecode, .flags = flags};
    for (;;) {
        uint64_t seen = writable_seen(up);
        int r = storage_writer_begin(up->w, &begin, ret);
        if (r != -EAGAIN)
            return r;
        wait_writable(up, seen);
    }
}

static int put(struct rig_upload *up, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        uint64_t seen = writable_seen(up);
        ssize_t r = storage_writer_part(up->w, bytes, len);
        if (r < 0)
            return (int) r;
        bytes += r;
        len -= (size_t) r;
        if (len > 0)
            wait_writable(up, seen);
    }
    return 0;
}

int rig_upload_parts(struct rig_upload *up, const struct capture *capture,
                     const struct capture_fragment *f, size_t from_mark, size_t to_mark)
{
    size_t at = from_mark ? f->marks[from_mark - 1] : f->start;
    size_t frame = 0;
    while (frame < f->frame_count && f->start + f->frames[frame].offset < at)
        frame++;
    for (size_t m = from_mark; m < to_mark; m++) {
        int r = put(up, capture->bytes + at, f->marks[m] - at);
        if (r < 0)
            return r;
        at = f->marks[m];
        const struct storage_frame *ends = NULL;
        if (frame < f->frame_count &&
            f->start + f->frames[frame].offset + f->frames[frame].bytes <= at)
            ends = &f->frames[frame++];
        r = storage_writer_mark(up->w, ends);
        if (r < 0)
            return r;
    }
    return 0;
}

int rig_upload_commit(struct rig_upload *up, const struct capture_fragment *f)
{
    struct storage_commit commit = {
        .cluster_offset = (uint32_t) (f->cluster - f->start),
        .cluster_bytes = f->cluster_end - f->cluster,
        .flags = f->end_tag ? STORAGE_FRAGMENT_END_TAG : 0,
    };
    if (f->frame_count > 0) {
        commit.duration_ms = (uint32_t) f->frames[f->frame_count - 1].time;
        commit.full_duration_ms = commit.duration_ms + 40;
    }
    int r = storage_writer_commit(up->w, &commit);
    if (r == 0)
        up->submitted++;
    return r;
}

int rig_upload_fragment(struct rig_upload *up, const struct capture *capture, size_t at,
                        int64_t shift_ms)
{
    const struct capture_fragment *f = &capture->fragments[at];
    struct storage_fragment begun;
    int64_t ms = (int64_t) (f->timecode * (capture->timestamp_scale_ns / 1000) / 1000);
    int r = rig_upload_begin(up, f->timecode, ms + shift_ms,
                             at == 0 ? STORAGE_FRAGMENT_DISCONTINUITY : 0, &begun);
    if (r < 0)
        return r;
    r = rig_upload_parts(up, capture, f, 0, f->mark_count);
    if (r == 0)
        r = rig_upload_commit(up, f);
    if (r < 0)
        storage_writer_abort(up->w);
    return r;
}

void rig_upload_settle(struct rig_upload *up)
{
    KN_LOCKED(&up->lock);
    while (up->commit_count < up->submitted)
        kn_cond_wait(&up->moved, &up->lock);
}

void rig_upload_close(struct rig_upload *up)
{
    storage_writer_close(up->w, on_closed);
    KN_LOCKED(&up->lock);
    while (!up->closed)
        kn_cond_wait(&up->moved, &up->lock);
}

static int compare_frames(struct storage *storage, const struct storage_id *stream,
                          const struct storage_fragment *f, const struct capture_fragment *want)
{
    struct storage_frames *frames;
    int r = storage_frames_get(storage, stream, f, &frames, false);
    if (r < 0)
        return r;
    bool same = frames->count == want->frame_count;
    for (size_t i = 0; same && i < frames->count; i++) {
        const struct storage_frame *a = &frames->items[i], *b = &want->frames[i];
        same = a->offset == b->offset && a->bytes == b->bytes && a->time == b->time &&
               a->track == b->track && a->key == b->key;
    }
    storage_frames_free(frames);
    return same ? 0 : -EBADMSG;
}

int rig_compare(struct storage *storage, const struct storage_id *stream,
                const struct storage_fragment *f, const struct capture *capture, size_t at)
{
    const struct capture_fragment *want = &capture->fragments[at];
    size_t len = want->end - want->start, done = 0;
    if (f->bytes != len)
        return -EBADMSG;
    uint8_t *bytes = malloc(len + 1);
    kn_assert(bytes != NULL);
    int r = 0;
    while (done < len) {
        struct iovec iov = {bytes + done, len + 1 - done};
        ssize_t n = storage_read(storage, stream, f, done, &iov, 1, false);
        if (n <= 0) {
            r = n < 0 ? (int) n : -EBADMSG;
            break;
        }
        done += (size_t) n;
    }
    if (r == 0 && (done != len || memcmp(bytes, capture->bytes + want->start, len) != 0))
        r = -EBADMSG;
    free(bytes);
    if (r == 0)
        r = compare_frames(storage, stream, f, want);
    struct storage_header *header;
    if (r == 0)
        r = storage_header_get(storage, stream, f, &header, false);
    if (r < 0)
        return r;
    if (header->bytes.len != capture->header_bytes ||
        memcmp(header->bytes.ptr, capture->bytes, capture->header_bytes) != 0)
        r = -EBADMSG;
    storage_header_unref(header);
    return r;
}
