/* SPDX-License-Identifier: Apache-2.0 */
/* The strict HTTP/1.1 reader. Smuggling shapes end to end: tests/api/test_00_http_h1.py. */
#include "http_h1_parse.h"
#include "test.h"

#include "core/err.h"

static struct kn_http_header headers[8];
static char text[4096];

static int parse(const char *head, struct kn_h1_head *ret)
{
    size_t len = strlen(head);
    memcpy(text, head, len + 1);
    return kn_h1_head_parse(text, len, headers, KN_ARRAY_LEN(headers), ret);
}

TEST(a_head_is_found_only_when_its_empty_line_is_there)
{
    const char head[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
    size_t len = sizeof(head) - 1 - 4;

    for (size_t n = 0; n < len; n++) {
        size_t scan = 0;
        assert_int_equal(kn_h1_head_find(head, n, &scan), 0);
        assert_int_equal(kn_h1_head_find(head, sizeof(head) - 1, &scan), len);
    }
}

TEST(a_bare_line_feed_is_found_at_once)
{
    size_t scan = 0;
    assert_int_equal(kn_h1_head_find("GET / HTTP/1.1\n", 15, &scan), -EBADMSG);
    scan = 0;
    assert_int_equal(kn_h1_head_find("\n", 1, &scan), -EBADMSG);
}

TEST(a_plain_head_is_read)
{
    struct kn_h1_head head;
    assert_int_equal(parse("POST /a/b?c=d&e HTTP/1.1\r\nHost: h:80\r\nX-Mixed-CASE: \t v w \r\n"
                           "content-length: 12\r\nConnection: foo, Close\r\n"
                           "expect: 100-Continue\r\n\r\n",
                           &head),
                     0);
    assert_str_is(head.method, "POST");
    assert_str_is(head.path, "/a/b");
    assert_str_is(head.query, "c=d&e");
    assert_int_equal(head.header_count, 5);
    assert_str_is(head.headers[1].name, "x-mixed-case");
    assert_str_is(head.headers[1].value, "v w");
    assert_true(head.has_length && head.length == 12 && head.close && head.expect_100);
    assert_false(head.chunked || head.minor_0 || head.keep_alive);
}

TEST(absolute_and_asterisk_forms_are_read_where_they_belong)
{
    struct kn_h1_head head;
    assert_int_equal(parse("GET http://A:1/x?y HTTP/1.1\r\nHost: a:1\r\n\r\n", &head), 0);
    assert_str_is(head.path, "/x");
    assert_str_is(head.query, "y");
    assert_int_equal(parse("GET HTTP://[::1]:8?y/z?w HTTP/1.1\r\nHost: [::1]:8\r\n\r\n", &head), 0);
    assert_str_is(head.path, "/");
    assert_str_is(head.query, "y/z?w");
    assert_int_equal(parse("GET https://a HTTP/1.1\r\nHost: a\r\n\r\n", &head), 0);
    assert_str_is(head.path, "/");
    assert_str_is(head.query, "");
    assert_int_equal(parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &head), 0);
    assert_str_is(head.path, "*");
    assert_int_equal(parse("GET * HTTP/1.1\r\nHost: a\r\n\r\n", &head), 400);
    assert_int_equal(parse("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", &head), 400);
    assert_int_equal(parse("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", &head), 400);
    assert_int_equal(parse("GET http://?x HTTP/1.1\r\nHost: a\r\n\r\n", &head), 400);
    assert_int_equal(parse("GET http:/a/x HTTP/1.1\r\nHost: a\r\n\r\n", &head), 400);
    assert_int_equal(parse("GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n", &head), 400);
    assert_int_equal(parse("GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n", &head), 400);
    assert_int_equal(parse("GET http://a/x HTTP/1.0\r\n\r\n", &head), 400);
}

TEST(ambiguous_heads_are_refused)
{
    static const struct {
        int status;
        const char *head;
    } rows[] = {
        {400, "GET / HTTP/1.1\r\n\r\n"                                                         },
        {400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"                                   },
        {400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"                                             },
        {400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"                                             },
        {400, "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"                                        },
        {400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"                                            },
        {400, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"                                            },
        {400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"    },
        {400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1,1\r\n\r\n"                       },
        {400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n"                        },
        {400, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n"       },
        {400,
         "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"                   },
        {400, "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"       },
        {400, "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
              "Transfer-Encoding: chunked\r\n\r\n"                                },
        {400, "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"                           },
        {400, "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n"                                   },
        {400, "GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n"                                   },
        {400, "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"                                         },
        {400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"                                   },
        {400, "GET /#f HTTP/1.1\r\nHost: a\r\n\r\n"                                            },
        {400, "G@T / HTTP/1.1\r\nHost: a\r\n\r\n"                                              },
        {400, "GET / HTTP/1.12\r\nHost: a\r\n\r\n"                                             },
        {400, "GET /\r\nHost: a\r\n\r\n"                                                       },
        {400, "\r\n\r\n"                                                                       },
        {417, "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n"                                 },
        {431,
         "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\n"
         "A: 1\r\n\r\n"                                                                        },
        {505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"                                              },
        {505, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"                                              },
    };
    struct kn_h1_head head;
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        int status = parse(rows[i].head, &head);
        if (status != rows[i].status)
            fail_msg("row %zu: %d, not %d", i, status, rows[i].status);
    }
}

/* Feeds body in pieces of at most `step`, taking at most `take` a time; -1 or the number of bytes
 * taken as data; *ret_used: how many input bytes were used. */
static int dechunk(const char *body, size_t step, size_t take, char *dst, size_t *ret_used)
{
    struct kn_h1_chunked c = {0};
    size_t at = 0, end = strlen(body);
    int n = 0;
    while (at < end && c.state != KN_H1_END) {
        struct kn_bytes in = {(const uint8_t *) body + at, step < end - at ? step : end - at}, data;
        size_t before = in.len;
        do {
            if (kn_h1_chunked_next(&c, &in, &data) < 0)
                return -1;
            size_t took = data.len < take ? data.len : take;
            if (took > 0) {
                memcpy(dst + n, data.ptr, took);
                n += (int) took;
                kn_h1_chunked_took(&c, &in, took);
            }
        } while (data.len > 0);
        at += before - in.len;
    }
    *ret_used = at;
    return c.state == KN_H1_END ? n : -2;
}

TEST(a_chunked_body_is_the_same_in_any_pieces)
{
    const char body[] =
        "4\r\nWiki\r\n00006;x=\"y\"\r\npedia \r\nB\r\nin \r\nchunks\r\n0\r\nT: v\r\n\r\nNEXT";
    for (size_t step = 1; step < sizeof(body); step++)
        for (size_t take = 1; take < 13; take++) {
            char dst[64];
            size_t used;
            assert_int_equal(dechunk(body, step, take, dst, &used), 21);
            assert_memory_equal(dst, "Wikipedia in \r\nchunks", 21);
            assert_int_equal(used, sizeof(body) - 1 - 4);
        }
}

TEST(malformed_chunks_are_refused)
{
    static const char *const rows[] = {
        "x\r\n",
        "\r\n",
        "1\nA\r\n0\r\n\r\n",
        "1\r\nAB\r\n0\r\n\r\n",
        "1 \r\nA\r\n0\r\n\r\n",
        "-1\r\n",
        "1000000000000000\r\n",
        "1;\x01\r\n",
        "1;a\nb\r\n",
        "1\r\nA\n0\r\n\r\n",
        "0\r\n x\r\n\r\n",
        "0\r\nT: \x02\r\n\r\n",
        "0\r\nT: v\n\r\n",
        "0\r\n\rX",
        "0\r\n\n",
    };
    char dst[64];
    size_t used;
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++)
        if (dechunk(rows[i], 100, 100, dst, &used) != -1)
            fail_msg("row %zu was taken", i);
}

/* RFC 9110 5.5, one byte at a time; before and after it what could hide it from a faster look. */
TEST(a_value_with_a_control_character_anywhere_is_refused)
{
    static const char around[] = {'a', ' ', '\t', '~', (char) 0x80, (char) 0xff};
    for (size_t at = 0; at < 20; at++) {
        for (unsigned c = 0; c < 256; c++) {
            char value[20];
            memset(value, around[(at + c) % sizeof around], sizeof value);
            value[at] = (char) c;
            bool valid = c == '\t' || (c >= 0x20 && c != 0x7f);
            if (kn_h1_value_is_valid((struct kn_str){value, sizeof value}) != valid)
                fail_msg("byte %u at %zu", c, at);
        }
    }
}

TESTS_MAIN(TEST_OF(a_value_with_a_control_character_anywhere_is_refused),
           TEST_OF(a_head_is_found_only_when_its_empty_line_is_there),
           TEST_OF(a_bare_line_feed_is_found_at_once), TEST_OF(a_plain_head_is_read),
           TEST_OF(absolute_and_asterisk_forms_are_read_where_they_belong),
           TEST_OF(ambiguous_heads_are_refused), TEST_OF(a_chunked_body_is_the_same_in_any_pieces),
           TEST_OF(malformed_chunks_are_refused))
