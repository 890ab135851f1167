/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session's resources under hostile queries, of HLS and of DASH: byte 0 chooses the resource, the
 * next ones what a valid token says (sealed by us, so that the code behind the cipher is reached),
 * the rest is the query, and after a line end a Range. A bit of byte 0 puts the token into the
 * path. Answers are read to their end.
 */
#include "fake_storage.h"
#include "mkv_make.h"
#include "request.h"
#include "test.h"

#include <unistd.h>

#include "session/sessions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    INPUT_BYTES_MAX = 8192,
    SETTINGS_BYTES = 24,
    FRAGMENTS = 12,
    RESOURCE_BITS = 0x1f, /* of byte 0 */
    OF_DASH = 0x20,
    TOKEN_IN_PATH = 0x40,
    TOKEN_OF_INPUT = 0x80,
};
#define T0 INT64_C(1700000000000)

static struct world {
    struct kn_fake_clock clock;
    struct storage *storage;
    struct storage_id stream;
    struct playback *playback;
    struct playback_conf conf;
    struct kn_http_router *router;
} world;

static void load_fragments(void)
{
    struct kn_buf bytes;
    kn_buf_init(&bytes, 1 << 20);
    make_header(&bytes, 1, 0, 1000000);
    for (int i = 0; i < FRAGMENTS; i++) {
        make_cluster(&bytes, (uint64_t) (T0 - 20000 + 1000 * i));
        for (int16_t k = 0; k < 5; k++)
            make_block(&bytes, 1, (int16_t) (200 * k), k == 0, 40, 'x');
        make_tags(&bytes, "AWS_KINESISVIDEO_END_OF_FRAGMENT", "", false);
    }
    struct capture capture = capture_parse(bytes.ptr, bytes.len);
    kn_assert(fake_storage_load(world.storage, &world.stream, &capture,
                                &(struct fake_load){.server_ts_ms = T0 - 20000}) == FRAGMENTS);
    capture_done(&capture);
    kn_buf_done(&bytes);
}

static void open_world(void)
{
    static const struct kn_api_identity identity = {"aws", "us-east-1", "000000000000"};
    static const struct playback_endpoints endpoints = {.api_port = 1};
    static char dir[] = "/tmp/kinema-fuzz-XXXXXX";
    struct kn_conf_table table = {
        .keys = playback_conf_keys, .count = playback_conf_key_count, .target = &world.conf};
    struct kn_err err = {0};
    kn_assert(mkdtemp(dir) && kn_conf_defaults(&table, 1) == 0);
    kn_fake_clock_init(&world.clock, T0);
    world.storage = fake_storage_new(&world.clock.clock);
    fake_storage_set_dir(world.storage, dir);
    world.stream = fake_storage_stream(world.storage, "cam", 24);
    load_fragments();
    kn_assert(playback_new(world.storage, &world.conf, &endpoints, &identity, NULL,
                           &world.clock.clock, &world.playback, &err) == 0);
    kn_assert(kn_http_router_new(&world.router) == 0 &&
              playback_add_routes(world.playback, world.router) == 0);
    char path[64];
    (void) snprintf(path, sizeof path, "%s/session.key", dir);
    (void) unlink(path); /* it has been read; the key is in memory */
    (void) rmdir(dir);
}

static struct playback_session take_session(const uint8_t *s)
{
    struct playback_session session = {
        .stream = world.stream,
        .stream_created_ms = T0,
        .mode = (enum playback_mode)(s[0] % 3),
        .clock = s[1] & 1 ? PLAYBACK_PRODUCER_CLOCK : PLAYBACK_SERVER_CLOCK,
        .container = s[1] & 2 ? PLAYBACK_TS : PLAYBACK_FMP4,
        .discontinuity = (enum playback_discontinuity)(s[2] % 3),
        .display_time = s[1] & 4,
        .from_ms = s[1] & 8 ? INT64_MIN : T0 - 20000 + 100 * s[3],
        .to_ms = s[1] & 16 ? INT64_MAX : T0 - 20000 + 100 * s[4],
        .from_seq = s[5] % (FRAGMENTS + 2),
        .results_max = 1 + s[6],
        .target_s = s[7],
        .opened_ms = T0 - 100 * s[8],
        .expires_ms = T0 + 1000 * ((int64_t) s[9] - 8),
        .base_seq = s[10] % (FRAGMENTS + 2),
        .base_ordinal = s[11] % (FRAGMENTS + 2),
        .base_ms = T0 - 20000 + 100 * s[12],
        .display_number = s[1] & 32,
    };
    return session;
}

static void ask(struct kn_str path, struct kn_str query, struct kn_str range)
{
    struct kn_http_header headers[] = {
        {KN_STR("host"),  KN_STR("h")},
        {KN_STR("range"), range      }
    };
    struct fuzz_request req = {
        .base = {.method = KN_STR("GET"), .path = path, .query = query}
    };
    req.base.headers = headers;
    req.base.header_count = range.len ? 2 : 1;
    fuzz_request_ask(&req, &kn_http_router_ops, world.router, (struct kn_bytes){0});
    kn_assert(req.status >= 200);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {
        "getHLSMasterPlaylist.m3u8", "getHLSMediaPlaylist.m3u8",  "getMP4InitFragment.mp4",
        "getMP4MediaFragment.mp4",   "getHLSMediaPlaylist.m3u8/",
    }; /* TS is muxed by a module: see fuzz_segment */
    static const char *const dash_paths[] = {"getDASHManifest.mpd", "getMP4InitFragment.mp4",
                                             "getMP4MediaFragment.mp4"};
    if (size < SETTINGS_BYTES || size > INPUT_BYTES_MAX)
        return 0;
    if (!world.storage)
        open_world();
    struct kn_buf token, query, path;
    struct playback_session session = take_session(data + 1);
    bool dash = data[0] & OF_DASH;
    if (dash != ((data[1 + 13] & 1) != 0)) { /* and a token of the other one */
        session.container = PLAYBACK_DASH;
        session.discontinuity = PLAYBACK_DISCONTINUITY_WHERE_BROKEN;
    }
    kn_buf_init(&token, PLAYBACK_TOKEN_BYTES_MAX);
    kn_buf_init(&query, 2 * INPUT_BYTES_MAX);
    kn_buf_init(&path, 2 * INPUT_BYTES_MAX);
    kn_assert(playback_session_seal(&world.playback->sessions->key, &session, &token) == 0);
    struct kn_str rest = {(const char *) data + SETTINGS_BYTES, size - SETTINGS_BYTES}, range;
    range = kn_str_cut(rest, '\n', &rest);
    bool own = data[0] & TOKEN_OF_INPUT, in_path = data[0] & TOKEN_IN_PATH;
    kn_buf_append_text(&path, dash ? PLAYBACK_DASH_RESOURCES : PLAYBACK_HLS_RESOURCES);
    if (in_path)
        kn_buf_printf(&path, "s/" KN_STR_FMT "/", KN_STR_ARG(own ? rest : kn_buf_str(&token)));
    if (own || in_path)
        kn_buf_append_str(&query, rest);
    else
        kn_buf_printf(&query, "SessionToken=" KN_STR_FMT "&" KN_STR_FMT,
                      KN_STR_ARG(kn_buf_str(&token)), KN_STR_ARG(rest));
    unsigned resource = data[0] & RESOURCE_BITS;
    kn_buf_append_text(&path, dash ? dash_paths[resource % KN_ARRAY_LEN(dash_paths)]
                                   : paths[resource % KN_ARRAY_LEN(paths)]);
    ask(kn_buf_str(&path), kn_buf_str(&query), range);
    kn_buf_done(&path);
    kn_buf_done(&token);
    kn_buf_done(&query);
    return 0;
}
