/* SPDX-License-Identifier: Apache-2.0 */
#include "camera_status.h"

#include "core/json.h"

enum {
    ARENA_BYTES_MAX = 64 << 10
};

struct field {
    const char *key;
    char *text; /* of text_cap bytes, or … */
    size_t text_cap;
    uint64_t *number; /* … one of these */
    int64_t *time;
};

static int read_fields(struct kn_json_reader *r, struct kn_arena *arena, const struct field *fields,
                       size_t count, struct kn_str key, enum kn_json_token token)
{
    for (size_t i = 0; i < count; i++) {
        const struct field *f = &fields[i];
        struct kn_str text = {NULL, 0};
        int64_t number = 0;
        if (!kn_str_eq(key, kn_str_from(f->key)))
            continue;
        if (f->text && token == KN_JSON_STRING)
            return kn_json_unescape(r, arena, &text) < 0 ? -EBADMSG
                                                         : kn_str_copy(f->text, f->text_cap, text);
        if (!f->text && token == KN_JSON_NUMBER && kn_json_number_i64(r, &number) == 0) {
            if (f->number)
                *f->number = (uint64_t) number;
            else
                *f->time = number;
        }
        break;
    }
    return kn_json_skip(r, token);
}

static int read_track(struct kn_json_reader *r, struct kn_arena *arena,
                      struct ingest_camera_track *ret)
{
    const struct field fields[] = {
        {"codec",    ret->codec, sizeof ret->codec, NULL,           NULL},
        {"width",    NULL,       0,                 &ret->width,    NULL},
        {"height",   NULL,       0,                 &ret->height,   NULL},
        {"hz",       NULL,       0,                 &ret->hz,       NULL},
        {"channels", NULL,       0,                 &ret->channels, NULL},
    };
    enum kn_json_token token;
    while (kn_json_next(r, &token) == 0 && token == KN_JSON_KEY) {
        struct kn_str key = r->raw;
        if (kn_json_next(r, &token) < 0 ||
            read_fields(r, arena, fields, KN_ARRAY_LEN(fields), key, token) < 0)
            return -EBADMSG;
    }
    return token == KN_JSON_OBJECT_END ? 0 : -EBADMSG;
}

static int read_tracks(struct kn_json_reader *r, struct kn_arena *arena,
                       struct ingest_camera_status *ret)
{
    enum kn_json_token token;
    int code = 0;
    while (code == 0 && (code = kn_json_next(r, &token)) == 0 && token == KN_JSON_OBJECT) {
        if (ret->track_count == INGEST_CAMERA_TRACKS_MAX)
            return -EBADMSG;
        code = read_track(r, arena, &ret->tracks[ret->track_count++]);
    }
    return code < 0 || token != KN_JSON_ARRAY_END ? -EBADMSG : 0;
}

static enum ingest_camera_state state_of(const char *text)
{
    struct kn_str name = kn_str_from(text);
    return kn_str_eq(name, KN_STR("recording"))    ? INGEST_CAMERA_RECORDING
           : kn_str_eq(name, KN_STR("connecting")) ? INGEST_CAMERA_CONNECTING
                                                   : INGEST_CAMERA_WAITING;
}

static int read_all(struct kn_json_reader *r, struct kn_arena *arena, char *stream,
                    struct ingest_camera_status *ret)
{
    char state[16] = "";
    const struct field fields[] = {
        {"camera",       stream,        STORAGE_STREAM_NAME_BYTES_MAX + 1, NULL,              NULL                },
        {"state",        state,         sizeof state,                      NULL,              NULL                },
        {"fault",        ret->fault,    sizeof ret->fault,                 NULL,              NULL                },
        {"said",         ret->said,     sizeof ret->said,                  NULL,              NULL                },
        {"leftOut",      ret->left_out, sizeof ret->left_out,              NULL,              NULL                },
        {"faultMs",      NULL,          0,                                 NULL,              &ret->fault_ms      },
        {"sinceMs",      NULL,          0,                                 NULL,              &ret->since_ms      },
        {"lastFrameMs",  NULL,          0,                                 NULL,              &ret->last_frame_ms },
        {"persistedMs",  NULL,          0,                                 NULL,              &ret->persisted_ms  },
        {"frames",       NULL,          0,                                 &ret->frames,      NULL                },
        {"bytes",        NULL,          0,                                 &ret->bytes,       NULL                },
        {"lost",         NULL,          0,                                 &ret->lost,        NULL                },
        {"cuts",         NULL,          0,                                 &ret->cuts,        NULL                },
        {"reconnects",   NULL,          0,                                 &ret->reconnects,  NULL                },
        {"persisted",    NULL,          0,                                 &ret->persisted,   NULL                },
        {"clock",        ret->clock,    sizeof ret->clock,                 NULL,              NULL                },
        {"clockKnown",   NULL,          0,                                 &ret->clock_known, NULL                },
        {"clockAheadMs", NULL,          0,                                 NULL,              &ret->clock_ahead_ms},
        {"clockSteps",   NULL,          0,                                 &ret->clock_steps, NULL                },
        {"damaged",      NULL,          0,                                 &ret->damaged,     NULL                },
    };
    enum kn_json_token token;
    if (kn_json_next(r, &token) < 0 || token != KN_JSON_OBJECT)
        return -EBADMSG;
    while (kn_json_next(r, &token) == 0 && token == KN_JSON_KEY) {
        struct kn_str key = r->raw;
        if (kn_json_next(r, &token) < 0)
            return -EBADMSG;
        int code = kn_str_eq(key, KN_STR("tracks")) && token == KN_JSON_ARRAY
                       ? read_tracks(r, arena, ret)
                       : read_fields(r, arena, fields, KN_ARRAY_LEN(fields), key, token);
        if (code < 0)
            return -EBADMSG;
    }
    ret->state = state_of(state);
    return token == KN_JSON_OBJECT_END && *stream ? 0 : -EBADMSG;
}

int ingest_camera_status_read(struct kn_bytes packet, char *stream,
                              struct ingest_camera_status *ret)
{
    struct kn_json_reader r;
    struct kn_arena arena;
    *ret = (struct ingest_camera_status){0};
    *stream = '\0';
    kn_json_reader_init(&r, packet);
    kn_arena_init(&arena, ARENA_BYTES_MAX);
    int code = read_all(&r, &arena, stream, ret);
    kn_arena_done(&arena);
    return code;
}
