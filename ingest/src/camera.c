/* SPDX-License-Identifier: Apache-2.0 */
/* See ingest/camera.h. Looking at a camera: camera_probe.c. */
#include "ingest/camera.h"

#include "camera_wish.h"
#include "cameras.h"
#include "ingest_internal.h"

/* --- shown ------------------------------------------------------------------------------------ */
static void write_text(struct kn_json_writer *w, const char *key, struct kn_str text)
{
    if (text.len == 0)
        return;
    kn_json_key(w, key);
    kn_json_str(w, text);
}

static void write_ms(struct kn_json_writer *w, const char *key, int64_t ms)
{
    if (ms <= 0)
        return; /* never */
    kn_json_key(w, key);
    kn_json_i64(w, ms);
}

static void write_u64(struct kn_json_writer *w, const char *key, uint64_t value)
{
    kn_json_key(w, key);
    kn_json_u64(w, value);
}

static const char *state_name(enum ingest_camera_state state)
{
    static const char *const names[] = {[INGEST_CAMERA_CONNECTING] = "CONNECTING",
                                        [INGEST_CAMERA_RECORDING] = "RECORDING",
                                        [INGEST_CAMERA_WAITING] = "WAITING",
                                        [INGEST_CAMERA_RESTING] = "RESTING"};
    return names[state];
}

static void write_status(struct kn_json_writer *w, const struct ingest_camera_status *status)
{
    kn_json_key(w, "state");
    kn_json_text(w, state_name(status->state));
    write_text(w, "fault", kn_str_from(status->fault));
    write_text(w, "said", kn_str_from(status->said));
    write_text(w, "leftOut", kn_str_from(status->left_out));
    write_text(w, "silent", kn_str_from(status->silent));
    write_ms(w, "faultMs", status->fault_ms);
    if (status->state == INGEST_CAMERA_RECORDING)
        write_ms(w, "sinceMs", status->since_ms);
    write_ms(w, "lastFrameMs", status->last_frame_ms);
    write_u64(w, "frames", status->frames);
    write_u64(w, "lost", status->lost);
    write_u64(w, "cuts", status->cuts);
    write_u64(w, "reconnects", status->reconnects);
}

static struct ingest_camera_view *view_get(struct ingest *ingest,
                                           const struct storage_stream *stream, int *ret)
{
    struct ingest_camera_view *view = malloc(sizeof *view);
    *ret = view ? ingest_cameras_get(ingest->cameras, stream, view) : -ENOMEM;
    if (*ret == 0)
        return view;
    free(view);
    return NULL;
}

static void view_free(struct ingest_camera_view *view)
{
    if (view)
        explicit_bzero(view, sizeof *view);
    free(view);
}

int ingest_camera_write(struct ingest *ingest, const struct storage_stream *stream,
                        struct kn_json_writer *w)
{
    int r;
    struct ingest_camera_view *view = view_get(ingest, stream, &r);
    if (!view)
        return r;
    write_text(w, "url", ingest_camera_url_shown(&view->settings.source));
    write_text(w, "user", kn_str_from(view->settings.source.user));
    kn_json_key(w, "hasPassword");
    kn_json_bool(w, *view->settings.source.password != '\0');
    kn_json_key(w, "transport");
    kn_json_text(w, ingest_camera_transport_name(view->settings.source.transport));
    write_status(w, &view->status);
    view_free(view);
    return 0;
}

const char *ingest_camera_state(struct ingest *ingest, const struct storage_stream *stream)
{
    int r;
    struct ingest_camera_view *view = view_get(ingest, stream, &r);
    const char *name = view ? state_name(view->status.state) : NULL;
    view_free(view);
    return name;
}

/* --- what is wished --------------------------------------------------------------------------- */
static int transport_of(struct kn_str name, enum ingest_camera_transport *ret)
{
    *ret = INGEST_CAMERA_AUTO;
    if (name.len == 0)
        return 0;
    for (int i = INGEST_CAMERA_AUTO; i <= INGEST_CAMERA_HTTP; i++) {
        enum ingest_camera_transport one = (enum ingest_camera_transport) i;
        if (!kn_str_eq(name, kn_str_from(ingest_camera_transport_name(one))))
            continue;
        *ret = one;
        return 0;
    }
    return -EINVAL;
}

/* "rtsp://host:port" */
static struct kn_str address_of(const char *url)
{
    struct kn_str all = kn_str_from(url);
    size_t slashes = 0, len = 0;
    while (len < all.len && (all.ptr[len] != '/' || ++slashes < 3) && all.ptr[len] != '?')
        len++;
    return (struct kn_str){all.ptr, len};
}

/* Passwords are given to the address they were meant for, and to no other: whoever may change a
 * camera must not learn its password by pointing it at a machine of his own. */
static int keep(const struct ingest_camera_source *now, const struct ingest_camera_wish *wish,
                struct ingest_camera_source *source, struct kn_err *err)
{
    struct kn_str before = address_of(now->url), after = address_of(source->url);
    source->tls = now->tls; /* a wish does not speak of it */
    bool same = kn_str_eq_nocase(before, after);
    if (same && kn_str_eq(kn_str_from(source->url), ingest_camera_url_shown(now)))
        memcpy(source->url, now->url, sizeof source->url); /* with the query that is not shown */
    if (wish->password.ptr || *source->password || !*now->password ||
        ingest_camera_is_file(source)) /* which has none */
        return 0;
    if (!same)
        return kn_fail(err, -EINVAL, "the address is another one: give the password again");
    memcpy(source->password, now->password, sizeof source->password);
    return 0;
}

int ingest_camera_wished(struct ingest *ingest, const struct storage_stream *stream,
                         const struct ingest_camera_wish *wish, struct ingest_camera_source *source,
                         struct kn_err *err)
{
    *source = (struct ingest_camera_source){0};
    if (transport_of(wish->transport, &source->transport) < 0)
        return kn_fail(err, -EINVAL, "the transport is auto, tcp, udp or http");
    if (ingest_camera_url(wish->url, ingest_cameras_files(ingest->cameras), source, err) < 0)
        return -EINVAL;
    if ((wish->user.len > 0 && kn_str_copy(source->user, sizeof source->user, wish->user) < 0) ||
        (wish->password.len > 0 &&
         kn_str_copy(source->password, sizeof source->password, wish->password) < 0))
        return kn_fail(err, -EINVAL, "user and password have at most %d bytes",
                       INGEST_CAMERA_USER_BYTES_MAX);
    int r = -ENOENT;
    struct ingest_camera_view *view = stream ? view_get(ingest, stream, &r) : NULL;
    if (!view)
        return r == -ENOENT ? 0 : r;
    r = keep(&view->settings.source, wish, source, err);
    view_free(view);
    return r;
}

/* --- set and removed -------------------------------------------------------------------------- */
static int stream_make(struct ingest *ingest, struct kn_str name, uint32_t retention_hours,
                       struct storage_stream **ret)
{
    const struct storage_stream_new settings = {.name = name, .retention_hours = retention_hours};
    if (storage_stream_count(ingest->storage) >= ingest->conf.streams_max)
        return -EDQUOT;
    int r = storage_stream_create(ingest->storage, &settings, ret);
    if (r != -EEXIST)
        return r;
    *ret = storage_stream_find(ingest->storage, name);
    return *ret ? 0 : -EBUSY;
}

/* Its schedule stays, and what an edge configuration says; a secret it had it has no more. */
static int connect_to(void *ctx, struct ingest_camera_settings *draft)
{
    const struct ingest_camera_source *source = ctx;
    draft->source = *source;
    draft->edge.secret_arn[0] = '\0';
    return 0;
}

int ingest_camera_connect(struct ingest *ingest, struct kn_str name,
                          const struct ingest_camera_wish *wish, uint32_t retention_hours,
                          struct kn_err *err)
{
    KN_CLEANUP(storage_stream_unrefp)
    struct storage_stream *stream = storage_stream_find(ingest->storage, name);
    struct ingest_camera_source *source = malloc(sizeof *source);
    if (!source)
        return -ENOMEM;
    int r = ingest_camera_wished(ingest, stream, wish, source, err);
    if (r == 0 && stream && stream->status != STORAGE_STREAM_ACTIVE)
        r = -EBUSY;
    if (r == 0 && !stream)
        r = stream_make(ingest, name, retention_hours, &stream);
    if (r == 0)
        r = ingest_cameras_edit(ingest->cameras, stream, connect_to, source);
    explicit_bzero(source, sizeof *source);
    free(source);
    return r;
}

int ingest_camera_disconnect(struct ingest *ingest, const struct storage_stream *stream)
{
    return ingest_cameras_remove(ingest->cameras, stream);
}
