/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking streams up and changing them. A lookup takes one short lock and a reference. A change is
 * compare-and-set on the stream's key, retried when another change came first, and becomes visible
 * to lookups once it is on disk.
 */
#include "catalogue_state.h"
#include "storage_internal.h"

#include "core/crypto.h"

/* --- looking up ------------------------------------------------------------------------------- */
static struct storage_stream *find_name(struct storage_catalogue *cat, struct kn_str name)
{
    KN_LOCKED(&cat->lock);
    bool found;
    size_t at = storage_catalogue_at_name_locked(cat, name, &found);
    return found ? storage_stream_ref(cat->by_name[at]) : NULL;
}

struct storage_stream *storage_stream_find(struct storage *storage, struct kn_str name)
{
    return find_name(storage->catalogue, name);
}

struct storage_stream *storage_stream_find_id(struct storage *storage, const struct storage_id *id)
{
    struct storage_catalogue *cat = storage->catalogue;
    KN_LOCKED(&cat->lock);
    bool found;
    size_t at = storage_catalogue_at_id_locked(cat, id, &found);
    return found ? storage_stream_ref(cat->by_id[at]) : NULL;
}

uint64_t storage_stream_changes(struct storage *storage)
{
    return storage->catalogue->changes;
}

size_t storage_stream_list(struct storage *storage, struct kn_str prefix, struct kn_str after,
                           struct storage_stream **out, size_t cap)
{
    struct storage_catalogue *cat = storage->catalogue;
    KN_LOCKED(&cat->lock);
    bool found;
    size_t at;
    if (kn_str_cmp(after, prefix) >= 0 && after.len > 0) {
        at = storage_catalogue_at_name_locked(cat, after, &found);
        at += found ? 1 : 0;
    } else {
        at = storage_catalogue_at_name_locked(cat, prefix, &found);
    }
    size_t count = 0;
    for (; count < cap && at < cat->count; at++) {
        if (!kn_str_starts_with(cat->by_name[at]->name, prefix))
            break;
        out[count++] = storage_stream_ref(cat->by_name[at]);
    }
    return count;
}

size_t storage_stream_count(struct storage *storage)
{
    struct storage_catalogue *cat = storage->catalogue;
    KN_LOCKED(&cat->lock);
    return cat->count;
}

struct storage_meta *storage_meta_of(struct storage *storage)
{
    return storage->catalogue->meta;
}

/* --- writing ---------------------------------------------------------------------------------- */
static void new_version(char dst[21])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    uint8_t random[20];
    kn_random(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        dst[i] = alphabet[random[i] % (sizeof alphabet - 1)]; /* uneven, and need not be even */
    dst[sizeof random] = 0;
}

/* Writes the record under its key and makes the snapshot of it. */
static int write_stream(struct storage_catalogue *cat, const struct storage_id *id,
                        const struct storage_stream_settings *settings, uint64_t expect,
                        struct storage_stream **ret)
{
    struct kn_buf record;
    kn_buf_init(&record, STORAGE_STREAM_RECORD_BYTES_MAX);
    int r = storage_stream_encode(settings, &record);
    struct storage_stream *stream = NULL;
    uint64_t version = 0;
    if (r == 0) /* first, so that nothing can fail once it is on disk */
        r = storage_stream_decode(id, kn_buf_bytes(&record), 0, &stream);
    char key[STORAGE_STREAM_KEY_BYTES];
    if (r == 0)
        r = storage_meta_put(cat->meta, storage_stream_key(id, key), kn_buf_bytes(&record), expect,
                             &version);
    kn_buf_done(&record);
    if (r < 0) {
        storage_stream_unref(stream);
        return r;
    }
    storage_stream_set_meta_version(stream, version);
    *ret = stream;
    return 0;
}

static int begin_creation(struct storage_catalogue *cat, struct storage_creation *creation)
{
    KN_LOCKED(&cat->lock);
    bool found;
    (void) storage_catalogue_at_name_locked(cat, creation->name, &found);
    size_t pending = 1;
    for (struct storage_creation *at = cat->creations; at && !found; at = at->next, pending++)
        found = kn_str_eq(at->name, creation->name);
    if (found)
        return -EEXIST;
    int r =
        storage_catalogue_reserve_locked(cat, cat->count + pending); /* publishing cannot fail */
    if (r < 0)
        return r;
    creation->next = cat->creations;
    cat->creations = creation;
    return 0;
}

static void end_creation(struct storage_catalogue *cat, struct storage_creation *creation)
{
    KN_LOCKED(&cat->lock);
    struct storage_creation **at = &cat->creations;
    while (*at != creation)
        at = &(*at)->next;
    *at = creation->next;
}

/* The intent. A name without a stream is what a failed creation left: it is taken over. */
static int take_name(struct storage_catalogue *cat, struct kn_str name, const struct storage_id *id)
{
    char dst[STORAGE_NAME_KEY_BYTES];
    struct kn_bytes key = storage_name_key(name, dst);
    struct kn_bytes value = {id->bytes, sizeof id->bytes};
    int r = storage_meta_put(cat->meta, key, value, 0, NULL);
    if (r != -EEXIST)
        return r;

    struct kn_buf before;
    kn_buf_init(&before, STORAGE_META_VALUE_BYTES_MAX);
    uint64_t version = 0;
    r = storage_meta_get(cat->meta, key, &before, &version);
    kn_buf_done(&before);
    return r < 0 ? r : storage_meta_put(cat->meta, key, value, version, NULL);
}

static int create(struct storage_catalogue *cat, const struct storage_stream_new *what,
                  struct storage_stream **ret)
{
    char version[21];
    new_version(version);
    struct storage_stream_settings settings = {
        .status = STORAGE_STREAM_ACTIVE,
        .warm = what->warm,
        .retention_hours = what->retention_hours,
        .created_ms = kn_wall_ms(cat->clock),
        .name = what->name,
        .device_name = what->device_name,
        .media_type = what->media_type,
        .kms_key_id = what->kms_key_id,
        .version = kn_str_from(version),
        .tags = what->tags,
        .tag_count = what->tag_count,
        .extra = what->extra,
    };
    struct storage_id id;
    kn_random(id.bytes, sizeof id.bytes);
    int r = take_name(cat, what->name, &id);
    struct storage_stream *stream = NULL;
    if (r == 0)
        r = write_stream(cat, &id, &settings, 0, &stream);
    if (r < 0)
        return r;
    if (cat->started && cat->events.made)
        cat->events.made(cat->events.ctx, stream);
    r = storage_catalogue_publish(cat, storage_stream_ref(stream), true);
    kn_assert(r == 0); /* begin_creation has made room */
    *ret = stream;
    return 0;
}

int storage_stream_create(struct storage *storage, const struct storage_stream_new *settings,
                          struct storage_stream **ret)
{
    struct storage_catalogue *cat = storage->catalogue;
    if (settings->name.len == 0 || settings->name.len > STORAGE_STREAM_NAME_BYTES_MAX ||
        settings->retention_hours > STORAGE_RETENTION_HOURS_MAX)
        return -EINVAL;
    struct storage_creation creation = {.name = settings->name};
    int r = begin_creation(cat, &creation);
    if (r < 0)
        return r;
    struct storage_stream *stream = NULL;
    r = create(cat, settings, &stream);
    end_creation(cat, &creation);
    if (r < 0)
        return r;
    storage_catalogue_say_changed(cat, stream);
    *ret = stream;
    return 0;
}

/* The newest snapshot as it is on disk: memory may lag behind a change that is being published. */
static int read_stream(struct storage_catalogue *cat, const struct storage_id *id,
                       struct storage_stream **ret)
{
    char key[STORAGE_STREAM_KEY_BYTES];
    struct kn_buf record;
    kn_buf_init(&record, STORAGE_STREAM_RECORD_BYTES_MAX);
    uint64_t version = 0;
    int r = storage_meta_get(cat->meta, storage_stream_key(id, key), &record, &version);
    if (r == 0)
        r = storage_stream_decode(id, kn_buf_bytes(&record), version, ret);
    kn_buf_done(&record);
    return r;
}

typedef int change_fn(void *ctx, const struct storage_stream *now,
                      struct storage_stream_settings *settings);

/* One attempt from `now`; -ESTALE: another change came first. */
static int change_from(struct storage_catalogue *cat, const struct storage_stream *now,
                       change_fn *change, void *ctx, struct storage_stream **ret)
{
    struct storage_stream_settings settings;
    storage_stream_settings_of(now, &settings);
    int r = change(ctx, now, &settings);
    if (r < 0)
        return r;
    return write_stream(cat, &now->id, &settings, storage_stream_meta_version(now), ret);
}

static int change_stream(struct storage_catalogue *cat, struct kn_str name, change_fn *change,
                         void *ctx)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *now = find_name(cat, name);
    if (!now)
        return -ENOENT;
    for (;;) {
        struct storage_stream *changed = NULL;
        int r = change_from(cat, now, change, ctx, &changed);
        if (r == 0) {
            r = storage_catalogue_publish(cat, storage_stream_ref(changed), false);
            kn_assert(r == 0);
            storage_catalogue_say_changed(cat, changed);
            storage_stream_unref(changed);
            return 0;
        }
        struct storage_stream *newer = NULL;
        if (r != -ESTALE)
            return r;
        r = read_stream(cat, &now->id, &newer);
        if (r < 0)
            return r;
        bool same = storage_stream_meta_version(newer) == storage_stream_meta_version(now);
        storage_stream_unref(now);
        now = newer;
        if (same) /* the edit itself, or the expected version, said -ESTALE */
            return -ESTALE;
    }
}

static int check_state(const struct storage_stream *now, struct kn_str expect_version)
{
    if (now->status != STORAGE_STREAM_ACTIVE)
        return -EBUSY;
    if (expect_version.len > 0 && !kn_str_eq(expect_version, kn_str_from(now->version)))
        return -ESTALE;
    return 0;
}

struct update {
    struct kn_str expect_version;
    storage_stream_edit_fn *edit;
    void *ctx;
    struct storage_stream_draft draft;
    char version[21];
};

static int update_settings(void *ctx, const struct storage_stream *now,
                           struct storage_stream_settings *settings)
{
    struct update *update = ctx;
    int r = check_state(now, update->expect_version);
    if (r < 0)
        return r;
    struct storage_stream_draft *draft = &update->draft;
    *draft = (struct storage_stream_draft){
        .device_name = now->device_name,
        .media_type = now->media_type,
        .retention_hours = now->retention_hours,
        .warm = now->warm,
        .tag_count = now->tag_count,
        .extra = now->extra,
    };
    if (now->tag_count)
        memcpy(draft->tags, now->tags, now->tag_count * sizeof *now->tags);
    r = update->edit(update->ctx, now, draft);
    if (r < 0)
        return r;
    if (draft->retention_hours > STORAGE_RETENTION_HOURS_MAX)
        return -EINVAL;

    settings->device_name = draft->device_name;
    settings->media_type = draft->media_type;
    settings->retention_hours = draft->retention_hours;
    settings->warm = draft->warm;
    settings->tags = draft->tags;
    settings->tag_count = draft->tag_count;
    settings->extra = draft->extra;
    if (!draft->keep_version) {
        new_version(update->version);
        settings->version = kn_str_from(update->version);
    }
    return 0;
}

int storage_stream_update(struct storage *storage, struct kn_str name, struct kn_str expect_version,
                          storage_stream_edit_fn *edit, void *ctx)
{
    struct update update = {.expect_version = expect_version, .edit = edit, .ctx = ctx};
    return change_stream(storage->catalogue, name, update_settings, &update);
}

struct deletion {
    struct kn_str expect_version;
    char version[21];
};

static int mark_deleting(void *ctx, const struct storage_stream *now,
                         struct storage_stream_settings *settings)
{
    struct deletion *deletion = ctx;
    int r = check_state(now, deletion->expect_version);
    if (r < 0)
        return r;
    settings->status = STORAGE_STREAM_DELETING;
    new_version(deletion->version);
    settings->version = kn_str_from(deletion->version);
    return 0;
}

int storage_stream_delete(struct storage *storage, struct kn_str name, struct kn_str expect_version)
{
    struct deletion deletion = {.expect_version = expect_version};
    struct storage_holds *holds = &storage->catalogue->holds;
    KN_LOCKED(&holds->change); /* no hold comes between looking and deleting */
    struct storage_stream *now = find_name(storage->catalogue, name);
    bool held = now && storage_holds_count(holds, &now->id) > 0;
    storage_stream_unref(now);
    if (held)
        return -EACCES;
    int r = change_stream(storage->catalogue, name, mark_deleting, &deletion);
    if (r == 0)
        storage_catalogue_wake(storage->catalogue);
    return r;
}
