/* SPDX-License-Identifier: Apache-2.0 */
#include "camera_status.h"

#include "core/json.h"

enum {
    ARENA_BYTES_MAX = 64 << 10
};

static int read_track(struct kn_json_reader *r, struct kn_arena *arena,
                      struct ingest_camera_track *ret)
{
    const struct kn_json_member members[] = {
        {"codec",    KN_JSON_TEXT(ret->codec)},
        {"width",    .u64 = &ret->width      },
        {"height",   .u64 = &ret->height     },
        {"hz",       .u64 = &ret->hz         },
        {"channels", .u64 = &ret->channels   },
    };
    return kn_json_members_read(r, arena, members, KN_ARRAY_LEN(members));
}

static int read_tracks(struct kn_json_reader *r, enum kn_json_token token, struct kn_arena *arena,
                       void *ctx)
{
    struct ingest_camera_status *status = ctx;
    int code = token == KN_JSON_ARRAY ? 0 : -EBADMSG;
    while (code == 0 && (code = kn_json_next(r, &token)) == 0 && token == KN_JSON_OBJECT) {
        if (status->track_count == INGEST_CAMERA_TRACKS_MAX)
            return -EBADMSG;
        code = read_track(r, arena, &status->tracks[status->track_count++]);
    }
    return code < 0 || token != KN_JSON_ARRAY_END ? -EBADMSG : 0;
}

static enum ingest_camera_state state_of(struct kn_str name)
{
    return kn_str_eq(name, KN_STR("recording"))    ? INGEST_CAMERA_RECORDING
           : kn_str_eq(name, KN_STR("connecting")) ? INGEST_CAMERA_CONNECTING
                                                   : INGEST_CAMERA_WAITING;
}

static int read_all(struct kn_bytes packet, struct kn_arena *arena, char *stream,
                    struct ingest_camera_status *ret)
{
    struct kn_str name = {NULL, 0}, state = {NULL, 0};
    const struct kn_json_nested tracks = {read_tracks, ret};
    const struct kn_json_member members[] = {
        {"camera",       .str = &name               },
        {"state",        .str = &state              },
        {"fault",        KN_JSON_TEXT(ret->fault)   },
        {"said",         KN_JSON_TEXT(ret->said)    },
        {"leftOut",      KN_JSON_TEXT(ret->left_out)},
        {"silent",       KN_JSON_TEXT(ret->silent)  },
        {"clock",        KN_JSON_TEXT(ret->clock)   },
        {"faultMs",      .i64 = &ret->fault_ms      },
        {"sinceMs",      .i64 = &ret->since_ms      },
        {"lastFrameMs",  .i64 = &ret->last_frame_ms },
        {"persistedMs",  .i64 = &ret->persisted_ms  },
        {"clockAheadMs", .i64 = &ret->clock_ahead_ms},
        {"frames",       .u64 = &ret->frames        },
        {"bytes",        .u64 = &ret->bytes         },
        {"lost",         .u64 = &ret->lost          },
        {"cuts",         .u64 = &ret->cuts          },
        {"reconnects",   .u64 = &ret->reconnects    },
        {"persisted",    .u64 = &ret->persisted     },
        {"clockKnown",   .u64 = &ret->clock_known   },
        {"clockSteps",   .u64 = &ret->clock_steps   },
        {"damaged",      .u64 = &ret->damaged       },
        {"tracks",       .nested = &tracks          },
    };
    int r = kn_json_object_read(packet, arena, members, KN_ARRAY_LEN(members));
    ret->state = state_of(state);
    if (r < 0 || name.len == 0 || kn_str_copy(stream, STORAGE_STREAM_NAME_BYTES_MAX + 1, name) < 0)
        return -EBADMSG;
    return 0;
}

int ingest_camera_status_read(struct kn_bytes packet, char *stream,
                              struct ingest_camera_status *ret)
{
    struct kn_arena arena;
    *ret = (struct ingest_camera_status){0};
    *stream = '\0';
    kn_arena_init(&arena, ARENA_BYTES_MAX);
    int code = read_all(packet, &arena, stream, ret);
    kn_arena_done(&arena);
    return code;
}
