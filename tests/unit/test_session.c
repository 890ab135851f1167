/* SPDX-License-Identifier: Apache-2.0 */
/* Session tokens: what goes in comes out, and nothing else is believed. */
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "session/session.h"

static const struct playback_session example = {
    .stream = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
    .stream_created_ms = 1700000000123,
    .mode = PLAYBACK_LIVE_REPLAY,
    .clock = PLAYBACK_PRODUCER_CLOCK,
    .container = PLAYBACK_TS,
    .discontinuity = PLAYBACK_DISCONTINUITY_WHERE_BROKEN,
    .display_time = true,
    .from_ms = 1700000000000,
    .to_ms = INT64_MAX,
    .from_seq = 123456,
    .results_max = 5000,
    .target_s = 4,
    .opened_ms = 1700000001000,
    .expires_ms = 1700000301000,
    .key_id = "AKIAIOSFODNN7EXAMPLE",
};

static struct playback_session_key key_of(uint8_t fill)
{
    struct playback_session_key key;
    memset(key.bytes, fill, sizeof key.bytes);
    return key;
}

static struct kn_buf seal(const struct playback_session *session)
{
    struct playback_session_key key = key_of(1);
    struct kn_buf token;
    kn_buf_init(&token, PLAYBACK_TOKEN_BYTES_MAX);
    assert_ok(playback_session_seal(&key, session, &token));
    return token;
}

TEST(a_token_gives_the_session_back)
{
    static const struct playback_session plain = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    static const struct playback_session dash = {.container = PLAYBACK_DASH,
                                                 .display_number = true,
                                                 .base_seq = 99,
                                                 .base_ordinal = 77,
                                                 .base_ms = 1700000000001};
    static const struct playback_session both = {.kinds = PLAYBACK_PICTURES | PLAYBACK_SOUND,
                                                 .whole_seq = 4711};
    static const struct playback_session ts = {.container = PLAYBACK_TS, .whole_seq = 1};
    const struct playback_session *sessions[] = {&example, &plain, &dash, &both, &ts};
    struct playback_session_key key = key_of(1);
    for (size_t i = 0; i < KN_ARRAY_LEN(sessions); i++) {
        struct kn_buf token = seal(sessions[i]);
        struct playback_session got;
        memset(&got, 0, sizeof got);
        assert_ok(playback_session_open(&key, kn_buf_str(&token), &got));
        assert_memory_equal(got.stream.bytes, sessions[i]->stream.bytes, 16);
        assert_int_equal(got.stream_created_ms, sessions[i]->stream_created_ms);
        assert_int_equal(got.mode, sessions[i]->mode);
        assert_int_equal(got.clock, sessions[i]->clock);
        assert_int_equal(got.container, sessions[i]->container);
        assert_int_equal(got.discontinuity, sessions[i]->discontinuity);
        assert_int_equal(got.display_time, sessions[i]->display_time);
        assert_int_equal(got.display_number, sessions[i]->display_number);
        assert_int_equal(got.base_seq, sessions[i]->base_seq);
        assert_int_equal(got.base_ordinal, sessions[i]->base_ordinal);
        assert_int_equal(got.base_ms, sessions[i]->base_ms);
        assert_int_equal(got.kinds, sessions[i]->kinds);
        assert_int_equal(got.whole_seq, sessions[i]->whole_seq);
        assert_true(got.from_ms == sessions[i]->from_ms && got.to_ms == sessions[i]->to_ms);
        assert_int_equal(got.from_seq, sessions[i]->from_seq);
        assert_int_equal(got.results_max, sessions[i]->results_max);
        assert_int_equal(got.target_s, sessions[i]->target_s);
        assert_int_equal(got.opened_ms, sessions[i]->opened_ms);
        assert_int_equal(got.expires_ms, sessions[i]->expires_ms);
        assert_string_equal(got.key_id, sessions[i]->key_id);
        kn_buf_done(&token);
    }
}

TEST(a_token_stands_in_a_url_as_it_is_and_never_repeats)
{
    struct kn_buf a = seal(&example), b = seal(&example);
    assert_true(a.len >= 100 && a.len <= 250);
    for (size_t i = 0; i < a.len; i++) {
        char c = (char) a.ptr[i];
        assert_true((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_' || c == '~');
    }
    assert_false(kn_str_eq(kn_buf_str(&a), kn_buf_str(&b)));
    kn_buf_done(&a);
    kn_buf_done(&b);
}

TEST(no_change_of_a_token_is_believed)
{
    struct playback_session_key key = key_of(1), other = key_of(2);
    struct playback_session got;
    struct kn_buf token = seal(&example);
    assert_int_equal(playback_session_open(&other, kn_buf_str(&token), &got), -EBADMSG);
    for (size_t i = 0; i < token.len; i++) {
        uint8_t was = token.ptr[i];
        token.ptr[i] = was == 'A' ? 'B' : 'A';
        /* the last character before the padding may hold bits that base64 ignores */
        if (i + 3 < token.len)
            assert_int_equal(playback_session_open(&key, kn_buf_str(&token), &got), -EBADMSG);
        token.ptr[i] = was;
        assert_int_equal(playback_session_open(&key, (struct kn_str){(char *) token.ptr, i}, &got),
                         -EBADMSG);
    }
    assert_ok(playback_session_open(&key, kn_buf_str(&token), &got));
    kn_buf_done(&token);
    static const char *const nonsense[] = {"", "~~~~", "AAAA", "a b c", "%41"};
    for (size_t i = 0; i < KN_ARRAY_LEN(nonsense); i++)
        assert_int_equal(playback_session_open(&key, kn_str_from(nonsense[i]), &got), -EBADMSG);
}

TEST(the_key_is_made_once_and_kept_secret)
{
    char dir[] = "/tmp/kinema-session-XXXXXX", path[128];
    assert_non_null(mkdtemp(dir));
    struct playback_session_key first, again;
    struct kn_err err;
    assert_ok(playback_session_key_load(dir, &first, &err));
    assert_ok(playback_session_key_load(dir, &again, &err));
    assert_memory_equal(first.bytes, again.bytes, sizeof first.bytes);
    (void) snprintf(path, sizeof path, "%s/session.key", dir);
    struct stat st;
    assert_ok(stat(path, &st));
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, KN_AEAD_KEY_BYTES);
    assert_ok(truncate(path, 5));
    assert_int_equal(playback_session_key_load(dir, &again, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "session.key"));
    assert_ok(unlink(path));
    assert_ok(rmdir(dir));
}

TESTS_MAIN(TEST_OF(a_token_gives_the_session_back),
           TEST_OF(a_token_stands_in_a_url_as_it_is_and_never_repeats),
           TEST_OF(no_change_of_a_token_is_believed), TEST_OF(the_key_is_made_once_and_kept_secret))
