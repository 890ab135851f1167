/* SPDX-License-Identifier: Apache-2.0 */
/* A camera's URL comes apart, its record is sealed, and what its process says of it is read. */
#include "camera_settings.h"
#include "camera_status.h"
#include "temp_dir.h"
#include "test.h"

static struct ingest_camera_settings of(const char *url)
{
    struct ingest_camera_settings s = {0};
    struct kn_err err = {0};
    assert_ok(ingest_camera_url(kn_str_from(url), &s, &err));
    return s;
}

TEST(credentials_leave_the_url)
{
    struct ingest_camera_settings s = of("rtsp://viewer:p%40ss%3aword@10.0.0.2:554/a?b=c");
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

TEST(what_is_no_camera_is_refused)
{
    static const char *const bad[] = {
        "",           "http://h/",     "rtsp://",       "rtsp:///x",      "rtsp://:554/",
        "rtsp://h /", "rtsp://h/\x7f", "rtsp://u:%@h/", "rtsp://u:%0@h/", "rtsp://u:%00@h/",
        "rtsp://u@",  "rtsp://u@?x",   "rtsp://h/\n"};
    for (size_t i = 0; i < KN_ARRAY_LEN(bad); i++) {
        struct ingest_camera_settings s;
        struct kn_err err = {0};
        assert_int_equal(ingest_camera_url(kn_str_from(bad[i]), &s, &err), -EINVAL);
        assert_true(*err.text);
    }
}

struct found {
    struct ingest_camera_settings settings;
    int result;
    size_t count;
};

static int find(void *ctx, const struct storage_id *stream,
                const struct ingest_camera_settings *settings, int result)
{
    struct found *found = ctx;
    (void) stream;
    found->count++;
    found->result = result;
    if (settings)
        found->settings = *settings;
    return 0;
}

TEST(a_record_is_read_with_its_key_only_and_shows_nothing)
{
    struct temp_dir dir = temp_dir_new();
    struct storage_meta *meta;
    struct kn_err err = {0};
    const struct storage_id stream = {
        {1, 2, 3}
    };
    uint8_t key[KN_AEAD_KEY_BYTES] = {7}, other[KN_AEAD_KEY_BYTES] = {8};
    struct ingest_camera_settings s = of("rtsp://viewer:verysecret@host/x?token=alsosecret");
    s.transport = INGEST_CAMERA_UDP;
    s.created_ms = 5;
    s.updated_ms = 6;
    assert_ok(storage_meta_open(dir.path, MIB(16), &meta, &err));
    assert_ok(ingest_camera_put(meta, key, &stream, &s));
    s.updated_ms = 9;
    assert_ok(ingest_camera_put(meta, key, &stream, &s)); /* over the former */

    struct found found = {0};
    assert_ok(ingest_camera_list(meta, key, find, &found));
    assert_int_equal(found.count, 1);
    assert_ok(found.result);
    assert_string_equal(found.settings.url, s.url);
    assert_string_equal(found.settings.password, "verysecret");
    assert_int_equal(found.settings.transport, INGEST_CAMERA_UDP);
    assert_int_equal(found.settings.created_ms, 5);
    assert_int_equal(found.settings.updated_ms, 9);

    assert_ok(ingest_camera_list(meta, other, find, &found));
    assert_int_equal(found.result, -EBADMSG);
    assert_ok(ingest_camera_remove(meta, &stream));
    assert_int_equal(ingest_camera_remove(meta, &stream), -ENOENT);
    storage_meta_close(meta);
    temp_dir_remove(&dir);
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

TESTS_MAIN(TEST_OF(credentials_leave_the_url), TEST_OF(what_is_no_camera_is_refused),
           TEST_OF(a_record_is_read_with_its_key_only_and_shows_nothing),
           TEST_OF(what_a_process_says_is_read), TEST_OF(what_is_no_status_is_refused))
