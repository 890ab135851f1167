/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions and their resources through the real HTTP engine, over a storage in memory: curl asks,
 * ffprobe plays. What a player needs of the wire (types, CORS, ranges, expiry, errors) stands here;
 * texts of playlists are in test_playlist.c, bytes of segments in test_mp4.c.
 */
#include "fake_storage.h"
#include "test.h"

#include <sys/wait.h>
#include <unistd.h>

#include "core/http_server.h"
#include "session/sessions.h"

enum {
    ANSWER_BYTES_MAX = 8 << 20
};
#define T0 INT64_C(1700000000000)

static char data_dir[] = "/tmp/kinema-hls-XXXXXX";

/* --- a keyring of one ------------------------------------------------------------------------- */

static struct kn_key the_key = {.refs = 1, .id = KN_STR_INIT("AKIATEST")};
static struct kn_key old_key = {.refs = 1, .id = KN_STR_INIT("AKIATEST"), .expires_ms = T0 - 1};
static _Atomic bool key_revoked, key_cold, key_expired;

static int ring_find_blocking(struct kn_keyring *ring, struct kn_str id, struct kn_key **ret)
{
    (void) ring;
    if (key_revoked || !kn_str_eq(id, the_key.id))
        return -ENOENT;
    *ret = key_expired ? &old_key : &the_key;
    return 0;
}

static int ring_find(struct kn_keyring *ring, struct kn_str id, struct kn_key **ret)
{
    return key_cold ? -EAGAIN : ring_find_blocking(ring, id, ret);
}

static void ring_unref(struct kn_keyring *ring, struct kn_key *key)
{
    (void) ring;
    (void) key;
}

static struct kn_keyring ring = {
    .find = ring_find, .find_blocking = ring_find_blocking, .unref = ring_unref};

/* --- a server --------------------------------------------------------------------------------- */

struct world {
    struct kn_fake_clock clock;
    struct storage *storage;
    struct storage_id stream;
    struct capture capture;
    struct playback *playback;
    struct playback_conf conf;
    struct kn_http_router *router;
    struct kn_http_conf http_conf;
    struct kn_http_server *server;
    uint16_t port;
};

static void open_playback(struct world *w)
{
    static const struct kn_api_identity identity = {"aws", "us-east-1", "000000000000"};
    struct playback_endpoints endpoints = {.api_port = w->port};
    struct kn_err err;
    assert_ok(playback_new(w->storage, &w->conf, &endpoints, &identity, &ring, &w->clock.clock,
                           &w->playback, &err));
}

static void world_open(struct world *w, const char *capture)
{
    *w = (struct world){.port = 0};
    struct kn_conf_table tables[] = {
        {.keys = playback_conf_keys, .count = playback_conf_key_count, .target = &w->conf     },
        {.keys = kn_http_conf_keys,  .count = kn_http_conf_key_count,  .target = &w->http_conf}
    };
    struct kn_err err;
    key_revoked = key_cold = key_expired = false;
    memcpy(data_dir + sizeof data_dir - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(data_dir));
    kn_fake_clock_init(&w->clock, T0);
    w->storage = fake_storage_new(&w->clock.clock);
    fake_storage_set_dir(w->storage, data_dir);
    w->stream = fake_storage_stream(w->storage, "cam", 24);
    w->capture = capture_read(capture);
    assert_true(fake_storage_load(w->storage, &w->stream, &w->capture,
                                  &(struct fake_load){.server_ts_ms = T0 - 20000}) > 0);
    assert_ok(kn_conf_defaults(tables, KN_ARRAY_LEN(tables)));
    w->http_conf.loops = 1;
    open_playback(w);
    assert_ok(kn_http_router_new(&w->router));
    assert_ok(playback_add_routes(w->playback, w->router));
    assert_ok(kn_http_server_new(&w->http_conf, kn_clock_system(), &w->server, &err));
    struct kn_http_listen listen = {
        .name = "api", .address = "127.0.0.1:0", .ops = &kn_http_router_ops, .ctx = w->router};
    assert_ok(kn_http_server_listen(w->server, &listen, &w->port, &err));
    assert_ok(kn_http_server_start(w->server, &err));
}

static void world_close(struct world *w)
{
    char path[64];
    kn_http_server_stop(w->server, 1000);
    kn_http_server_free(w->server);
    kn_http_router_free(w->router);
    playback_free(w->playback);
    capture_done(&w->capture);
    fake_storage_free(w->storage);
    (void) snprintf(path, sizeof path, "%s/session.key", data_dir);
    assert_ok(unlink(path));
    assert_ok(rmdir(data_dir));
}

/* --- asking ----------------------------------------------------------------------------------- */

struct answer {
    int status;
    char *head; /* lower case is not promised: search with has() */
    uint8_t *body;
    size_t len;
    char *all;
    char folder[768]; /* of the path that was asked for */
};

static struct answer ask(struct world *w, const char *options, const char *path)
{
    char command[2048];
    struct answer a = {.all = malloc(ANSWER_BYTES_MAX)};
    assert_non_null(a.all);
    (void) snprintf(command, sizeof command, "curl -s -i %s 'http://127.0.0.1:%u%s'", options,
                    w->port, path);
    FILE *curl = popen(command, "r");
    assert_non_null(curl);
    size_t len = fread(a.all, 1, ANSWER_BYTES_MAX - 1, curl);
    assert_int_equal(WEXITSTATUS(pclose(curl)), 0);
    a.all[len] = '\0';
    char *end = strstr(a.all, "\r\n\r\n");
    assert_non_null(end);
    *end = '\0';
    a.head = a.all;
    a.body = (uint8_t *) end + 4;
    a.len = len - (size_t) (end + 4 - a.all);
    assert_int_equal(sscanf(a.all, "HTTP/1.1 %d", &a.status), 1);
    size_t name_at = strcspn(path, "?");
    while (name_at > 0 && path[name_at - 1] != '/')
        name_at--;
    assert_ok(kn_str_copy(a.folder, sizeof a.folder, (struct kn_str){path, name_at}));
    return a;
}

static bool has(const struct answer *a, const char *line)
{
    return strcasestr(a->head, line) != NULL;
}

static void expect_status(struct world *w, const char *path, int status, const char *text)
{
    struct answer a = ask(w, "", path);
    assert_int_equal(a.status, status);
    assert_true(has(&a, "access-control-allow-origin: *"));
    if (text && !strstr((char *) a.body, text))
        fail_msg("%s says %s, not %s", path, (char *) a.body, text);
    free(a.all);
}

static void open_session(struct world *w, const char *mode, int64_t from_ms, int64_t to_ms,
                         char *dst, size_t cap)
{
    struct kn_buf url;
    struct kn_err err = {.code = 0};
    kn_buf_init(&url, 4096);
    if (playback_console_session(w->playback, KN_STR("cam"), PLAYBACK_OVER_HLS, mode, from_ms,
                                 to_ms, &the_key, &url, &err) < 0)
        fail_msg("%s", err.text);
    assert_ok(kn_str_copy(dst, cap, kn_buf_str(&url)));
    kn_buf_done(&url);
}

/* The nth line of a playlist that is a URI (or holds URI="…"), as a path. */
static void uri_of(const struct answer *a, const char *containing, int nth, char *dst, size_t cap)
{
    const char *at = (char *) a->body;
    while (nth-- >= 0) {
        at = strstr(at, containing);
        assert_non_null(at);
        at++;
    }
    at--;
    at += *at == '\n';
    size_t len = strcspn(at, "\"\n");
    assert_true((size_t) snprintf(dst, cap, "%s%.*s", a->folder, (int) len, at) < cap);
}

static void media_uris(struct world *w, const char *mode, char *playlist, char *init, char *segment)
{
    char master[1024];
    open_session(w, mode, T0 - 30000, 0, master, sizeof master);
    struct answer a = ask(w, "", master);
    assert_int_equal(a.status, 200);
    uri_of(&a, "\ns/", 0, playlist, 1024); /* not the audio's */
    free(a.all);
    a = ask(w, "", playlist);
    assert_int_equal(a.status, 200);
    uri_of(&a, "getMP4InitFragment.mp4", 0, init, 1024);
    uri_of(&a, "getMP4MediaFragment.mp4", 0, segment, 1024);
    free(a.all);
}

/* --- what holds ------------------------------------------------------------------------------- */

TEST(resources_have_their_types_and_let_any_page_play)
{
    struct world w;
    char playlist[1024], init[1024], segment[1024];
    world_open(&w, "media/captures/sink360_h264_aac_abs.mkv");
    media_uris(&w, "LIVE", playlist, init, segment);
    const struct {
        const char *path, *type;
    } cases[] = {
        {playlist, "content-type: application/vnd.apple.mpegurl"},
        {init,     "content-type: video/mp4"                    },
        {segment,  "content-type: video/mp4"                    }
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct answer a = ask(&w, "", cases[i].path);
        assert_int_equal(a.status, 200);
        if (!has(&a, cases[i].type))
            fail_msg("%s: %s", cases[i].path, a.head);
        assert_true(has(&a, "access-control-allow-origin: *"));
        assert_true(has(&a, "cache-control: "));
        free(a.all);
        a = ask(&w, "-X OPTIONS", cases[i].path);
        assert_int_equal(a.status, 204);
        assert_true(has(&a, "access-control-allow-methods: GET"));
        free(a.all);
    }
    char *track = strstr(init, "TrackNumber=1");
    assert_non_null(track);
    track[strlen("TrackNumber=")] = '2';
    struct answer a = ask(&w, "", init);
    assert_int_equal(a.status, 200);
    assert_true(has(&a, "content-type: audio/mp4"));
    free(a.all);
    world_close(&w);
}

TEST(a_range_is_served_without_the_rest)
{
    struct world w;
    char playlist[1024], init[1024], segment[1024], option[64];
    world_open(&w, "media/captures/sink360_h264_abs.mkv");
    media_uris(&w, "ON_DEMAND", playlist, init, segment);
    struct answer whole = ask(&w, "", segment);
    assert_int_equal(whole.status, 200);
    assert_true(has(&whole, "accept-ranges: bytes"));
    assert_true(whole.len > 20000);
    const struct {
        const char *range;
        size_t from, to;
    } cases[] = {
        {"0-0",          0,             1        },
        {"10-19",        10,            20       },
        {"5000-12345",   5000,          12346    },
        {"9000-",        9000,          whole.len},
        {"-7",           whole.len - 7, whole.len},
        {"100-99999999", 100,           whole.len}
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        (void) snprintf(option, sizeof option, "-r %s", cases[i].range);
        struct answer part = ask(&w, option, segment);
        assert_int_equal(part.status, 206);
        assert_int_equal(part.len, cases[i].to - cases[i].from);
        assert_memory_equal(part.body, whole.body + cases[i].from, part.len);
        (void) snprintf(option, sizeof option, "content-range: bytes %zu-%zu/%zu", cases[i].from,
                        cases[i].to - 1, whole.len);
        assert_true(has(&part, option));
        free(part.all);
    }
    struct answer beyond = ask(&w, "-r 99999999-", segment);
    assert_int_equal(beyond.status, 416);
    free(beyond.all);
    struct answer several = ask(&w, "-r 0-1,4-5", segment);
    assert_int_equal(several.status, 200);
    assert_int_equal(several.len, whole.len);
    free(several.all);
    struct answer head = ask(&w, "-I", segment);
    (void) snprintf(option, sizeof option, "content-length: %zu", whole.len);
    assert_true(has(&head, option));
    free(head.all);
    free(whole.all);
    world_close(&w);
}

TEST(what_is_not_in_memory_comes_through_a_worker)
{
    struct world w;
    char playlist[1024], init[1024], segment[1024];
    world_open(&w, "media/captures/sink360_h264_abs.mkv");
    media_uris(&w, "LIVE", playlist, init, segment);
    struct answer warm = ask(&w, "", segment);
    fake_storage_set_cold(w.storage, true);
    key_cold = true;
    struct answer cold = ask(&w, "", segment);
    assert_int_equal(cold.status, 200);
    assert_int_equal(cold.len, warm.len);
    assert_memory_equal(cold.body, warm.body, warm.len);
    free(cold.all);
    free(warm.all);
    expect_status(&w, playlist, 200, "#EXTM3U");
    expect_status(&w, init, 200, NULL);
    world_close(&w);
}

TEST(a_changed_token_or_a_deleted_stream_opens_nothing)
{
    struct world w;
    char playlist[1024], init[1024], segment[1024], changed[1024];
    world_open(&w, "media/captures/sink360_h264_abs.mkv");
    media_uris(&w, "LIVE", playlist, init, segment);
    expect_status(&w, segment, 200, NULL);

    assert_ok(kn_str_copy(changed, sizeof changed, kn_str_from(segment)));
    char *token = strstr(changed, "/s/") + strlen("/s/");
    token[40] = token[40] == 'x' ? 'y' : 'x';
    expect_status(&w, changed, 403, "Streaming session token is invalid");
    expect_status(&w, "/hls/v1/s/%/getHLSMasterPlaylist.m3u8", 400, "SessionToken");
    expect_status(&w, "/hls/v1/s/x/getHLSMasterPlaylist.m3u8", 403, NULL);
    expect_status(&w, "/hls/v1/s//getHLSMasterPlaylist.m3u8", 404, NULL);
    expect_status(&w, "/hls/v1/s/getHLSMasterPlaylist.m3u8", 404, NULL);
    expect_status(&w, "/hls/v1/getHLSMasterPlaylist.m3u8", 400, "SessionToken");

    fake_storage_set_deleting(w.storage, &w.stream);
    expect_status(&w, segment, 404, NULL);
    world_close(&w);
}

/* As the service's addresses do, and as those in a folder of the token's name do not need to. */
TEST(a_token_may_stand_in_the_path_or_be_a_parameter)
{
    struct world w;
    char master[1024], token[512], url[1024], again[1024];
    world_open(&w, "media/captures/sink360_h264_abs.mkv");
    open_session(&w, "ON_DEMAND", T0 - 30000, 0, master, sizeof master);
    assert_ok(kn_str_copy(token, sizeof token, kn_str_from(strstr(master, "Token=") + 6)));
    (void) snprintf(url, sizeof url, "/hls/v1/s/%s/getHLSMasterPlaylist.m3u8", token);
    struct answer in_folder = ask(&w, "", url), by_parameter = ask(&w, "", master);
    uri_of(&in_folder, "\ngetHLSMediaPlaylist.m3u8", 0, url, sizeof url);
    uri_of(&by_parameter, "\ns/", 0, again, sizeof again);
    assert_string_equal(url, again);
    free(in_folder.all);
    free(by_parameter.all);
    (void) snprintf(again, sizeof again,
                    "/hls/v1/getHLSMediaPlaylist.m3u8?SessionToken=%s&TrackNumber=1", token);
    in_folder = ask(&w, "", url);
    by_parameter = ask(&w, "", again);
    uri_of(&in_folder, "getMP4MediaFragment.mp4", 0, url, sizeof url);
    uri_of(&by_parameter, "getMP4MediaFragment.mp4", 0, again, sizeof again);
    assert_null(strstr(url, "SessionToken"));
    assert_non_null(strstr(again, "SessionToken"));
    free(in_folder.all);
    free(by_parameter.all);
    struct answer a = ask(&w, "", url), b = ask(&w, "", again);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.body, b.body, a.len);
    free(a.all);
    free(b.all);
    char escaped[1024], *tilde = strchr(url, '~'); /* some clients write ~ as an escape */
    if (tilde) {
        (void) snprintf(escaped, sizeof escaped, "%.*s%%7E%s", (int) (tilde - url), url, tilde + 1);
        expect_status(&w, escaped, 200, NULL);
    }
    world_close(&w);
}

TEST(a_session_ends_with_its_key_and_its_time)
{
    struct world w;
    char master[1024], again[1024];
    world_open(&w, "media/captures/sink360_h264_abs.mkv");
    open_session(&w, "LIVE", 0, 0, master, sizeof master);
    open_session(&w, "LIVE", 0, 0, again, sizeof again);
    assert_string_not_equal(master, again);
    expect_status(&w, master, 200, "#EXT-X-STREAM-INF");
    key_revoked = true;
    expect_status(&w, master, 403, "access key");
    key_revoked = false;
    key_expired = true;
    expect_status(&w, master, 403, "access key");
    key_expired = false;
    expect_status(&w, master, 200, NULL);
    kn_fake_clock_advance(&w.clock, 43199000);
    expect_status(&w, master, 200, NULL); /* LIVE holds, however long nothing came */
    kn_fake_clock_advance(&w.clock, 1000);
    expect_status(&w, master, 403, "Streaming session token is expired");
    world_close(&w);
}

TEST(a_session_sees_no_more_than_it_was_opened_for)
{
    struct world w;
    char master[1024], playlist[1024], outside[1024], url[1024];
    world_open(&w, "media/captures/sink360_h264_abs.mkv");
    open_session(&w, "ON_DEMAND", T0 - 30000, 0, url, sizeof url);
    struct answer a = ask(&w, "", url);
    uri_of(&a, "\ns/", 0, playlist, sizeof playlist);
    free(a.all);
    a = ask(&w, "", playlist);
    uri_of(&a, "getMP4MediaFragment.mp4", 0, outside, sizeof outside);
    free(a.all);
    char number[64];
    assert_int_equal(sscanf(strstr(outside, "FragmentNumber="), "FragmentNumber=%63[0-9]", number),
                     1);
    open_session(&w, "ON_DEMAND", T0 - 19999, 0, master, sizeof master);
    (void) snprintf(url, sizeof url,
                    "/hls/v1/getMP4MediaFragment.mp4?FragmentNumber=%s&%s&TrackNumber=1", number,
                    strstr(master, "SessionToken="));
    expect_status(&w, url, 404, "not in this session");
    (void) snprintf(url, sizeof url,
                    "/hls/v1/getMP4MediaFragment.mp4?FragmentNumber=12&%s&TrackNumber=1",
                    strstr(master, "SessionToken="));
    expect_status(&w, url, 404, NULL);
    (void) snprintf(url, sizeof url,
                    "/hls/v1/getMP4InitFragment.mp4?%s&TrackNumber=1&SequenceNumber=5",
                    strstr(master, "SessionToken="));
    expect_status(&w, url, 404, NULL);
    (void) snprintf(url, sizeof url, "/hls/v1/getTSFragment.ts?FragmentNumber=%s&%s", number,
                    strstr(master, "SessionToken="));
    expect_status(&w, url, 400, "ContainerFormat");
    (void) snprintf(url, sizeof url, "/hls/v1/getHLSMediaPlaylist.m3u8?%s",
                    strstr(master, "SessionToken="));
    expect_status(&w, url, 400, NULL);
    expect_status(&w, "/hls/v1/nothing", 404, NULL);
    world_close(&w);
}

TEST(a_trimmed_fragment_is_not_found_even_when_its_head_is_cached)
{
    struct world w;
    char playlist[1024], init[1024], segment[1024];
    world_open(&w, "media/captures/sink360_h264_abs.mkv");
    media_uris(&w, "ON_DEMAND", playlist, init, segment);
    expect_status(&w, segment, 200, NULL);
    fake_storage_trim(w.storage, &w.stream, 1000000);
    expect_status(&w, segment, 404, NULL);
    expect_status(&w, playlist, 404, "No fragments found");
    world_close(&w);
}

/* Packets of a URL's streams as ffprobe counts them. */
static unsigned count_packets(struct world *w, const char *path, const char *stream)
{
    char command[2048], line[128] = "";
    (void) snprintf(command, sizeof command,
                    "ffprobe -v error -count_packets -select_streams %s -show_entries "
                    "stream=nb_read_packets -of csv=p=0 'http://127.0.0.1:%u%s' 2>&1",
                    stream, w->port, path);
    FILE *probe = popen(command, "r");
    assert_non_null(probe);
    unsigned count = 0;
    while (fgets(line, sizeof line, probe))
        if (line[0] != '\n' && sscanf(line, "%u", &count) != 1)
            fail_msg("ffprobe says: %s", line);
    assert_int_equal(WEXITSTATUS(pclose(probe)), 0);
    return count;
}

static unsigned count_sent(const struct world *w, uint8_t track)
{
    unsigned count = 0;
    for (size_t i = 0; i < w->capture.fragment_count; i++)
        for (size_t k = 0; w->capture.fragments[i].whole && k < w->capture.fragments[i].frame_count;
             k++)
            count += w->capture.fragments[i].frames[k].track == track;
    return count;
}

TEST(ffprobe_plays_every_frame_of_an_on_demand_session)
{
    static const char *const captures[] = {"media/captures/sink360_h264_aac_abs.mkv",
                                           "media/captures/c164_h265_abs_eofr_meta.mkv"};
    for (size_t i = 0; i < KN_ARRAY_LEN(captures); i++) {
        struct world w;
        char master[1024];
        world_open(&w, captures[i]);
        open_session(&w, "ON_DEMAND", T0 - 30000, T0 + 600000, master, sizeof master);
        kn_fake_clock_advance(&w.clock, 600000);
        open_session(&w, "ON_DEMAND", T0 - 30000, T0 + 600000, master, sizeof master);
        assert_int_equal(count_packets(&w, master, "v:0"), count_sent(&w, 1));
        if (i == 0)
            assert_int_equal(count_packets(&w, master, "a:0"), count_sent(&w, 2));
        world_close(&w);
    }
}

static void open_ts(struct world *w, char *dst, size_t cap)
{
    struct playback_session session = {.mode = PLAYBACK_ON_DEMAND,
                                       .container = PLAYBACK_TS,
                                       .discontinuity = PLAYBACK_DISCONTINUITY_NEVER,
                                       .from_ms = 0,
                                       .to_ms = INT64_MAX,
                                       .results_max = 100,
                                       .expires_ms = INT64_MAX,
                                       .key_id = "AKIATEST"};
    struct storage_stream *stream = storage_stream_find_id(w->storage, &w->stream);
    struct kn_err err = {.code = 0};
    struct kn_buf url;
    kn_buf_init(&url, 4096);
    assert_ok(kn_buf_append_text(&url, "/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken="));
    if (playback_sessions_open(w->playback, stream, &session, &url, &err) < 0)
        fail_msg("%s", err.text);
    assert_ok(kn_str_copy(dst, cap, kn_buf_str(&url)));
    kn_buf_done(&url);
    storage_stream_unref(stream);
}

TEST(ts_carries_all_tracks_of_a_fragment_in_one_segment)
{
    struct world w;
    char master[1024], playlist[1024], segment[1024];
    world_open(&w, "media/captures/sink360_h264_aac_abs.mkv");
    open_ts(&w, master, sizeof master);
    struct answer a = ask(&w, "", master);
    uri_of(&a, "\ns/", 0, playlist, sizeof playlist);
    free(a.all);
    a = ask(&w, "", playlist);
    uri_of(&a, "getTSFragment.ts", 0, segment, sizeof segment);
    free(a.all);
    a = ask(&w, "", segment);
    assert_int_equal(a.status, 200);
    assert_true(has(&a, "content-type: video/MP2T"));
    assert_int_equal(a.len % 188, 0);
    for (size_t i = 0; i < a.len; i += 188)
        assert_int_equal(a.body[i], 0x47);
    struct answer again = ask(&w, "", segment); /* the same bytes for everybody */
    assert_int_equal(again.len, a.len);
    assert_memory_equal(again.body, a.body, a.len);
    free(again.all);
    free(a.all);
    fake_storage_set_cold(w.storage, true);
    assert_int_equal(count_packets(&w, master, "v:0"), count_sent(&w, 1));
    assert_int_equal(count_packets(&w, master, "a:0"), count_sent(&w, 2));
    world_close(&w);
}

TEST(ts_refuses_h265)
{
    struct world w;
    world_open(&w, "media/captures/c164_h265_abs_eofr_meta.mkv");
    struct playback_session session = {.mode = PLAYBACK_ON_DEMAND,
                                       .container = PLAYBACK_TS,
                                       .from_ms = 0,
                                       .to_ms = INT64_MAX,
                                       .results_max = 10};
    struct storage_stream *stream = storage_stream_find_id(w.storage, &w.stream);
    struct kn_err err = {.code = 0};
    struct kn_buf token;
    kn_buf_init(&token, 4096);
    assert_int_equal(playback_sessions_open(w.playback, stream, &session, &token, &err), -EINVAL);
    assert_non_null(strstr(err.text, "(track 1: V_MPEGH/ISO/HEVC)"));
    kn_buf_done(&token);
    storage_stream_unref(stream);
    world_close(&w);
}

TESTS_MAIN(TEST_OF(resources_have_their_types_and_let_any_page_play),
           TEST_OF(a_range_is_served_without_the_rest),
           TEST_OF(what_is_not_in_memory_comes_through_a_worker),
           TEST_OF(a_changed_token_or_a_deleted_stream_opens_nothing),
           TEST_OF(a_token_may_stand_in_the_path_or_be_a_parameter),
           TEST_OF(a_session_ends_with_its_key_and_its_time),
           TEST_OF(a_session_sees_no_more_than_it_was_opened_for),
           TEST_OF(a_trimmed_fragment_is_not_found_even_when_its_head_is_cached),
           TEST_OF(ffprobe_plays_every_frame_of_an_on_demand_session),
           TEST_OF(ts_carries_all_tracks_of_a_fragment_in_one_segment), TEST_OF(ts_refuses_h265))
