/* SPDX-License-Identifier: Apache-2.0 */
/* A camera's URL comes apart, its record is sealed, and what its process says of it is read. */
#include "camera_record.h"
#include "camera_status.h"
#include "temp_dir.h"
#include "test.h"

static struct ingest_camera_source of(const char *url)
{
    struct ingest_camera_source s = {0};
    struct kn_err err = {0};
    assert_ok(ingest_camera_url(kn_str_from(url), "/srv/films/", &s, &err));
    return s;
}

TEST(credentials_leave_the_url)
{
    struct ingest_camera_source s = of("rtsp://viewer:p%40ss%3aword@10.0.0.2:554/a?b=c");
    assert_string_equal(s.url, "rtsp://10.0.0.2:554/a?b=c");
    assert_string_equal(s.user, "viewer");
    assert_string_equal(s.password, "p@ss:word");
    assert_str_is(ingest_camera_url_shown(&s), "rtsp://10.0.0.2:554/a");

    s = of("rtsps://viewer:p@ss:w@host/x@y");
    assert_string_equal(s.url, "rtsps://host/x@y");
    assert_string_equal(s.password, "p@ss:w");

    s = of("rtsp://host");
    assert_string_equal(s.url, "rtsp://host");
    assert_string_equal(s.user, "");
}

TEST(a_file_is_one_by_its_whole_path_below_the_folder_of_files)
{
    static const char *const good[] = {"file:///srv/films", "file:///srv/films/",
                                       "file:///srv/films/a%20b/c@d:e.mp4",
                                       "file:///srv/films/..x"};
    for (size_t i = 0; i < KN_ARRAY_LEN(good); i++) {
        struct ingest_camera_source s = of(good[i]);
        assert_true(ingest_camera_is_file(&s));
        assert_string_equal(s.url, good[i]);
        assert_str_is(ingest_camera_url_shown(&s), good[i]);
        assert_true(!*s.user && !*s.password);
    }
    struct ingest_camera_source s = of("rtsp://file/");
    assert_false(ingest_camera_is_file(&s));

    struct kn_err err = {0};
    struct kn_str url = KN_STR("file:///srv/films/a.mp4");
    assert_int_equal(ingest_camera_url(url, NULL, &s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "camera_files"));
    assert_ok(ingest_camera_url(url, "/", &s, &err));
}

TEST(what_is_no_camera_is_refused)
{
    static const char *const bad[] = {"",
                                      "http://h/",
                                      "rtsp://",
                                      "rtsp:///x",
                                      "rtsp://:554/",
                                      "rtsp://h /",
                                      "rtsp://h/\x7f",
                                      "rtsp://u:%@h/",
                                      "rtsp://u:%0@h/",
                                      "rtsp://u:%00@h/",
                                      "rtsp://u@",
                                      "rtsp://u@?x",
                                      "rtsp://h/\n",
                                      "file://",
                                      "file://srv/films/a",
                                      "file:///etc/passwd",
                                      "file:///srv/filmsx",
                                      "file:///srv/films/../x",
                                      "file:///srv/films/%2e%2e/x",
                                      "file:///srv/films/./x",
                                      "file:///srv/films//x",
                                      "file:///srv/films/a b",
                                      "file:///srv/films/%00",
                                      "file:///srv/films/a?b",
                                      "file:///srv/films/a#b",
                                      "file:///srv/films/.."};
    for (size_t i = 0; i < KN_ARRAY_LEN(bad); i++) {
        struct ingest_camera_source s;
        struct kn_err err = {0};
        assert_int_equal(ingest_camera_url(kn_str_from(bad[i]), "/srv/films", &s, &err), -EINVAL);
        assert_true(*err.text);
    }
}

struct found {
    struct ingest_camera_settings settings;
    int result;
    size_t count;
};

static int find(void *ctx, const struct storage_id *id,
                const struct ingest_camera_settings *settings, int result)
{
    struct found *found = ctx;
    (void) id;
    found->count++;
    found->result = result;
    if (settings)
        found->settings = *settings;
    return 0;
}

static const struct storage_id stream = {
    {1, 2, 3}
};
static const uint8_t sealing[KN_AEAD_KEY_BYTES] = {7}, other[KN_AEAD_KEY_BYTES] = {8};

static void assert_same_source(const struct ingest_camera_source *a,
                               const struct ingest_camera_source *b)
{
    assert_string_equal(a->url, b->url);
    assert_string_equal(a->user, b->user);
    assert_string_equal(a->password, b->password);
    assert_int_equal(a->transport, b->transport);
    assert_int_equal(a->tls, b->tls);
}

static struct storage_meta *open_in(const struct temp_dir *dir)
{
    struct storage_meta *meta;
    struct kn_err err = {0};
    assert_ok(storage_meta_open(dir->path, MIB(16), &meta, &err));
    return meta;
}

TEST(a_record_is_read_with_its_key_only_and_shows_nothing)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_in(&dir);
    struct ingest_camera_settings s = {
        .source = of("rtsp://viewer:verysecret@host/x?token=alsosecret"),
        .times = {"0 0 8-17 ? * MON-FRI", 3600                                               },
        .edge = { .hub = "arn:aws:iot:r:0:thing/hub",
                  .uploader = {"0 0 * * * ?", 60},
                  .retention_hours = 720,
                  .size_mb = 2000000,
                  .flags = INGEST_CAMERA_EDGE_DELETION | INGEST_CAMERA_EDGE_KEEP_AFTER_UPLOAD},
        .created_ms = 5,
        .updated_ms = 6
    };
    s.source.transport = INGEST_CAMERA_UDP;
    s.source.tls = INGEST_CAMERA_TLS_VERIFY;
    assert_ok(ingest_camera_put(meta, sealing, &stream, &s));
    s.updated_ms = 9;
    assert_ok(ingest_camera_put(meta, sealing, &stream, &s)); /* over the former */

    struct found found = {0};
    assert_ok(ingest_camera_list(meta, sealing, find, &found));
    assert_int_equal(found.count, 1);
    assert_ok(found.result);
    assert_same_source(&found.settings.source, &s.source);
    assert_string_equal(found.settings.times.expression, "0 0 8-17 ? * MON-FRI");
    assert_int_equal(found.settings.times.duration_s, 3600);
    assert_string_equal(found.settings.edge.hub, s.edge.hub);
    assert_string_equal(found.settings.edge.secret_arn, "");
    assert_string_equal(found.settings.edge.uploader.expression, "0 0 * * * ?");
    assert_int_equal(found.settings.edge.uploader.duration_s, 60);
    assert_int_equal(found.settings.edge.retention_hours, 720);
    assert_int_equal(found.settings.edge.size_mb, 2000000);
    assert_int_equal(found.settings.edge.flags, s.edge.flags);
    assert_int_equal(found.settings.created_ms, 5);
    assert_int_equal(found.settings.updated_ms, 9);

    assert_ok(ingest_camera_list(meta, other, find, &found));
    assert_int_equal(found.result, -EBADMSG);
    assert_ok(ingest_camera_remove(meta, &stream));
    assert_int_equal(ingest_camera_remove(meta, &stream), -ENOENT);
    storage_meta_close(meta);
    temp_dir_remove(&dir);
}

TEST(the_record_of_one_with_a_secret_has_no_url)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_in(&dir);
    struct ingest_camera_settings s = {
        .source = of("rtsp://viewer:verysecret@host/x"),
        .edge = {.hub = "h", .secret_arn = "arn:aws:secretsmanager:r:0:secret:door"}
    };
    struct found found = {0};
    assert_ok(ingest_camera_put(meta, sealing, &stream, &s));
    assert_ok(ingest_camera_list(meta, sealing, find, &found));
    assert_string_equal(found.settings.source.url, "");
    assert_string_equal(found.settings.source.password, "");
    assert_str_is(ingest_camera_secret_name(kn_str_from(found.settings.edge.secret_arn)), "door");
    storage_meta_close(meta);
    temp_dir_remove(&dir);
}

TEST(records_of_the_first_format_are_read)
{
    static const uint8_t plain[] = "\1\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\6\1"
                                   "\10rtsp://h\6viewer\4word";
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_in(&dir);
    struct kn_buf sealed;
    char key[80], id[STORAGE_ID_TEXT_BYTES];
    storage_id_text(&stream, id);
    struct kn_bytes at = {(const uint8_t *) key, (size_t) snprintf(key, sizeof key, "v/%s", id)};
    kn_buf_init(&sealed, 4096);
    assert_ok(kn_aead_seal(sealing, (struct kn_bytes){plain, sizeof plain - 1}, at, &sealed));
    assert_ok(storage_meta_put(meta, at, kn_buf_bytes(&sealed), 0, NULL));
    struct found found = {0};
    assert_ok(ingest_camera_list(meta, sealing, find, &found));
    assert_ok(found.result);
    assert_string_equal(found.settings.source.url, "rtsp://h");
    assert_string_equal(found.settings.source.password, "word");
    assert_int_equal(found.settings.source.transport, INGEST_CAMERA_UDP);
    assert_int_equal(found.settings.source.tls, INGEST_CAMERA_TLS_INSECURE);
    assert_int_equal(found.settings.created_ms, 5);
    assert_string_equal(found.settings.times.expression, "");
    kn_buf_done(&sealed);
    storage_meta_close(meta);
    temp_dir_remove(&dir);
}

struct names {
    char text[64];
    int result;
};

static int name_one(void *ctx, struct kn_str name, const struct ingest_camera_secret *secret,
                    int result)
{
    struct names *names = ctx;
    size_t len = strlen(names->text);
    names->result = result;
    assert_int_equal(secret != NULL, result == 0);
    snprintf(names->text + len, sizeof names->text - len, KN_STR_FMT " ", KN_STR_ARG(name));
    return 0;
}

TEST(secrets_are_kept_by_name_and_are_no_cameras)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta = open_in(&dir);
    struct ingest_camera_secret secret = {
        .source = of("rtsp://viewer:word@host/x"), .created_ms = 5, .updated_ms = 6};
    struct ingest_camera_secret got;
    const struct kn_str names[] = {KN_STR("door"), KN_STR("gate"), KN_STR("yard")};
    for (size_t i = 0; i < KN_ARRAY_LEN(names); i++)
        assert_ok(ingest_camera_secret_put(meta, sealing, names[i], &secret));
    assert_ok(ingest_camera_secret_get(meta, sealing, KN_STR("gate"), &got));
    assert_same_source(&got.source, &secret.source);
    assert_int_equal(got.created_ms, 5);
    assert_int_equal(got.updated_ms, 6);
    assert_int_equal(ingest_camera_secret_get(meta, other, KN_STR("gate"), &got), -EBADMSG);
    assert_int_equal(ingest_camera_secret_get(meta, sealing, KN_STR("gat"), &got), -ENOENT);
    struct names listed = {0};
    assert_ok(ingest_camera_secret_list(meta, sealing, KN_STR("door"), 9, name_one, &listed));
    assert_string_equal(listed.text, "gate yard ");
    listed = (struct names){0};
    assert_ok(ingest_camera_secret_list(meta, other, KN_STR(""), 1, name_one, &listed));
    assert_string_equal(listed.text, "door ");
    assert_int_equal(listed.result, -EBADMSG);
    struct found found = {0};
    assert_ok(ingest_camera_list(meta, sealing, find, &found));
    assert_int_equal(found.count, 0);
    assert_ok(ingest_camera_secret_remove(meta, KN_STR("gate")));
    assert_int_equal(ingest_camera_secret_remove(meta, KN_STR("gate")), -ENOENT);
    storage_meta_close(meta);
    temp_dir_remove(&dir);
}

TEST(a_schedule_that_is_over_is_not_kept)
{
    struct ingest_camera_times times = {0};
    struct kn_err err = {0};
    const int64_t now_s = INT64_C(1795824000); /* 2026 */
    assert_ok(ingest_camera_times_set(&times, KN_STR("0 0 8 * * ?"), 60, now_s, &err));
    assert_string_equal(times.expression, "0 0 8 * * ?");
    assert_int_equal(ingest_camera_times_set(&times, KN_STR("0 0 8 * * ? 2020"), 60, now_s, &err),
                     -EINVAL);
    assert_non_null(strstr(err.text, "never"));
    assert_int_equal(ingest_camera_times_set(&times, KN_STR("8 o'clock"), 60, now_s, &err),
                     -EINVAL);
}

static int status_of(const char *text, char *name, struct ingest_camera_status *ret)
{
    return ingest_camera_status_read(kn_bytes_of(kn_str_from(text)), name, ret);
}

TEST(what_a_process_says_is_read)
{
    char name[STORAGE_STREAM_NAME_BYTES_MAX + 1];
    struct ingest_camera_status s;
    assert_ok(
        status_of("{\"camera\":\"yard\",\"state\":\"recording\",\"fault\":null,\"said\":null,"
                  "\"faultMs\":0,\"sinceMs\":17,\"frames\":3,\"new\":[{\"x\":1}],\"tracks\":[{"
                  "\"codec\":\"A_AAC\",\"hz\":8000,\"channels\":1}]}",
                  name, &s));
    assert_string_equal(name, "yard");
    assert_int_equal(s.state, INGEST_CAMERA_RECORDING);
    assert_int_equal(s.since_ms, 17);
    assert_int_equal(s.frames, 3);
    assert_int_equal(s.track_count, 1);
    assert_string_equal(s.tracks[0].codec, "A_AAC");
    assert_int_equal(s.tracks[0].hz, 8000);
    assert_ok(status_of("{\"camera\":\"yard\",\"state\":\"waiting\",\"fault\":\"unauthorized\","
                        "\"said\":\"no \\\"entry\\\"\"}",
                        name, &s));
    assert_int_equal(s.state, INGEST_CAMERA_WAITING);
    assert_string_equal(s.fault, "unauthorized");
    assert_string_equal(s.said, "no \"entry\"");
}

TEST(what_is_no_status_is_refused)
{
    static const char *const bad[] = {"",
                                      "{}",
                                      "[]",
                                      "{\"camera\":\"\"}",
                                      "{\"camera\":\"x\",\"tracks\":[{},{},{},{},{}]}",
                                      "{\"camera\":\"x\",\"tracks\":[1]}",
                                      "{\"camera\":\"x\""};
    for (size_t i = 0; i < KN_ARRAY_LEN(bad); i++) {
        char name[STORAGE_STREAM_NAME_BYTES_MAX + 1];
        struct ingest_camera_status s;
        assert_int_equal(status_of(bad[i], name, &s), -EBADMSG);
    }
}

TESTS_MAIN(TEST_OF(credentials_leave_the_url),
           TEST_OF(a_file_is_one_by_its_whole_path_below_the_folder_of_files),
           TEST_OF(what_is_no_camera_is_refused),
           TEST_OF(a_record_is_read_with_its_key_only_and_shows_nothing),
           TEST_OF(the_record_of_one_with_a_secret_has_no_url),
           TEST_OF(records_of_the_first_format_are_read),
           TEST_OF(secrets_are_kept_by_name_and_are_no_cameras),
           TEST_OF(a_schedule_that_is_over_is_not_kept), TEST_OF(what_a_process_says_is_read),
           TEST_OF(what_is_no_status_is_refused))
