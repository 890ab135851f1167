/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"

static FILE *file;
static char text[64 << 10];

static void begin(enum kn_log_level least, enum kn_log_format format)
{
    file = tmpfile();
    assert_non_null(file);
    kn_log_setup(fileno(file), least, format);
}

/* All that was written so far. */
static const char *written(void)
{
    ssize_t n = pread(fileno(file), text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

static void end(void)
{
    kn_log_setup(STDERR_FILENO, KN_LOG_INFO, KN_LOG_TEXT);
    (void) fclose(file);
}

static unsigned count_of(const char *what)
{
    unsigned n = 0;
    for (const char *at = written(); (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

TEST(a_line_is_time_level_event_and_text)
{
    begin(KN_LOG_INFO, KN_LOG_TEXT);
    kn_log_warn("line_test", "a=%d b=%s", 7, "x");
    const char *line = written();
    assert_int_equal(strlen("2026-11-28T04:30:00.000Z"), 24);
    assert_true(line[10] == 'T' && line[23] == 'Z');
    assert_string_equal(line + 24, " warn  line_test a=7 b=x\n");
    end();
}

TEST(less_than_the_level_is_not_written_nor_evaluated)
{
    int evaluated = 0;
    begin(KN_LOG_INFO, KN_LOG_TEXT);
    assert_false(kn_log_enabled(KN_LOG_DEBUG));
    kn_log_debug("level_test", "n=%d", ++evaluated);
    assert_string_equal(written(), "");
    assert_int_equal(evaluated, 0);
    kn_log_setup(fileno(file), KN_LOG_DEBUG, KN_LOG_TEXT);
    kn_log_debug("level_test", "n=%d", ++evaluated);
    assert_non_null(strstr(written(), " debug level_test n=1\n"));
    kn_log_setup(fileno(file), KN_LOG_ERROR, KN_LOG_TEXT);
    kn_log_warn("level_test", "n=2");
    kn_log_error("level_test", "n=3");
    assert_null(strstr(written(), "n=2"));
    assert_non_null(strstr(written(), " error level_test n=3\n"));
    end();
}

TEST(an_event_stays_one_line_whatever_is_in_it)
{
    begin(KN_LOG_INFO, KN_LOG_TEXT);
    kn_log_info("split_test", "%s", "one\ntwo\r\nforged event");
    assert_non_null(strstr(written(), "split_test one two  forged event\n"));
    assert_int_equal(count_of("\n"), 1);
    end();
}

TEST(foreign_text_is_quoted_escaped_and_cut)
{
    assert_string_equal(kn_log_quote(KN_STR("a b")), "\"a b\"");
    assert_string_equal(kn_log_quote(KN_STR("\"\\\n\x7f")), "\"\\\"\\\\\\x0a\\x7f\"");
    static char many[4096]; /* each byte takes four */
    memset(many, 1, sizeof many);
    struct kn_log_quoted q = kn_log_quote_text((struct kn_str){many, sizeof many});
    size_t len = strlen(q.text);
    assert_true(len >= 200 && len < sizeof q.text);
    assert_string_equal(q.text + len - 4, "...\"");
}

/* The value of a member of the one object that a line holds. */
static struct kn_str member(struct kn_arena *arena, struct kn_bytes line, const char *name)
{
    struct kn_json_reader r;
    enum kn_json_token token;
    struct kn_str found = {NULL, 0};
    bool wanted = false;
    kn_json_reader_init(&r, line);
    do {
        assert_ok(kn_json_next(&r, &token));
        if (token == KN_JSON_STRING && wanted)
            assert_ok(kn_json_unescape(&r, arena, &found));
        wanted = token == KN_JSON_KEY && kn_str_eq(r.raw, kn_str_from(name));
    } while (token != KN_JSON_DONE);
    assert_non_null(found.ptr);
    return found;
}

TEST(json_is_one_valid_object_a_line_whatever_the_bytes)
{
    begin(KN_LOG_INFO, KN_LOG_JSON);
    kn_log_error("json_test", "path=%s raw=\xff tab=\t", kn_log_quote(KN_STR("a\"b\\c")));
    const char *line = written();
    size_t len = strlen(line);
    assert_true(len && line[len - 1] == '\n');
    struct kn_bytes json = {(const uint8_t *) line, len - 1};
    KN_CLEANUP(kn_arena_done) struct kn_arena arena;
    kn_arena_init(&arena, KIB(16));
    assert_str_is(member(&arena, json, "level"), "error");
    assert_str_is(member(&arena, json, "event"), "json_test");
    assert_str_is(member(&arena, json, "text"), "path=\"a\\\"b\\\\c\" raw=\xef\xbf\xbd tab=\t");
    end();
}

/* Every call is written or counted. */
TEST(a_flood_of_one_event_is_counted_and_leaves_others_alone)
{
    begin(KN_LOG_INFO, KN_LOG_TEXT);
    struct kn_clock *clock = kn_clock_system();
    unsigned calls = 0;
    int64_t first_s = kn_wall_ms(clock) / 1000;
    while (!strstr(written(), "suppressed=")) {
        kn_log_info("flood_test", "call");
        calls++;
        assert_true(kn_wall_ms(clock) / 1000 <= first_s + 5);
    }
    kn_log_info("quiet_test", "heard");
    assert_int_equal(count_of("quiet_test heard"), 1);
    unsigned lines = count_of("flood_test call"), suppressed = 0;
    assert_int_equal(sscanf(strstr(written(), "suppressed="), "suppressed=%u", &suppressed), 1);
    assert_int_equal(lines + suppressed, calls);
    unsigned seconds = (unsigned) (kn_wall_ms(clock) / 1000 - first_s) + 1;
    assert_true(lines <= 20 * seconds && suppressed > 0);
    end();
}

TESTS_MAIN(TEST_OF(a_line_is_time_level_event_and_text),
           TEST_OF(less_than_the_level_is_not_written_nor_evaluated),
           TEST_OF(an_event_stays_one_line_whatever_is_in_it),
           TEST_OF(foreign_text_is_quoted_escaped_and_cut),
           TEST_OF(json_is_one_valid_object_a_line_whatever_the_bytes),
           TEST_OF(a_flood_of_one_event_is_counted_and_leaves_others_alone))
