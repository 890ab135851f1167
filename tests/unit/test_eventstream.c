/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event-stream messages byte for byte. The vectors were put together in Python from the
 * specification, with zlib's CRC; tests/api/test_60_eventstream.py has botocore read what we write.
 */
#include "test.h"

#include <errno.h>

#include "core/crypto.h"
#include "core/eventstream.h"

#define JSON "application/x-amz-json-1.1"

static const char initial_hex[] =
    "0000007200000060ab820d9e0d3a6d6573736167652d747970650700056576656e740b3a6576656e742d7479"
    "7065070010696e697469616c2d726573706f6e73650d3a636f6e74656e742d7479706507001a6170706c6963"
    "6174696f6e2f782d616d7a2d6a736f6e2d312e317b7de16e66e4";

static const char event_hex[] =
    "0000008300000065aebc80fc0d3a6d6573736167652d747970650700056576656e740b3a6576656e742d7479"
    "7065070015537562736372696265546f53686172644576656e740d3a636f6e74656e742d7479706507001a61"
    "70706c69636174696f6e2f782d616d7a2d6a736f6e2d312e317b225265636f726473223a5b5d7d02a94214";

static const char exception_hex[] =
    "000000960000006e916e41860d3a6d6573736167652d74797065070009657863657074696f6e0f3a65786365"
    "7074696f6e2d747970650700165265736f75726365496e557365457863657074696f6e0d3a636f6e74656e74"
    "2d7479706507001a6170706c69636174696f6e2f782d616d7a2d6a736f6e2d312e317b226d65737361676522"
    "3a2274616b656e206f766572227d70cf29e7";

static void assert_hex(const struct kn_buf *out, size_t from, const char *want)
{
    char hex[1024];
    assert_ok(out->error);
    assert_true(out->len > from && (out->len - from) * 2 < sizeof hex);
    kn_hex_encode(kn_bytes_skip(kn_buf_bytes(out), from), hex);
    assert_string_equal(hex, want);
}

TEST(the_first_message_is_the_initial_response)
{
    struct kn_buf out;
    kn_buf_init(&out, 1 << 16);
    kn_eventstream_initial(&out, JSON);
    assert_hex(&out, 0, initial_hex);
    kn_buf_done(&out);
}

TEST(events_and_exceptions_follow_one_another_in_one_buffer)
{
    struct kn_buf out;
    kn_buf_init(&out, 1 << 16);
    struct kn_eventstream message = kn_eventstream_event(&out, "SubscribeToShardEvent", JSON);
    assert_ok(kn_buf_append_text(&out, "{\"Records\":[]}"));
    kn_eventstream_end(&out, message);
    assert_hex(&out, 0, event_hex);

    size_t first = out.len;
    message = kn_eventstream_exception(&out, "ResourceInUseException", JSON);
    assert_ok(kn_buf_append_text(&out, "{\"message\":\"taken over\"}"));
    kn_eventstream_end(&out, message);
    assert_hex(&out, first, exception_hex);
    kn_buf_done(&out);
}

TEST(a_message_beyond_the_ceiling_leaves_the_error_in_the_buffer)
{
    struct kn_buf out;
    kn_buf_init(&out, 100);
    kn_eventstream_initial(&out, JSON);
    assert_int_equal(out.error, -EMSGSIZE);
    kn_buf_done(&out);
}

TESTS_MAIN(TEST_OF(the_first_message_is_the_initial_response),
           TEST_OF(events_and_exceptions_follow_one_another_in_one_buffer),
           TEST_OF(a_message_beyond_the_ceiling_leaves_the_error_in_the_buffer))
