/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules, beside a reference that shares nothing with them: it asks for every day and second
 * whether the text of each field means it, with the C library's calendar.
 */
#include "schedule.h"
#include "test.h"

#include <string.h>
#include <time.h>

#include "core/clock.h"

enum {
    DAY_S = 86400,
    DAYS_SEEN = 1500, /* leap years among them */
    STARTS_SEEN = 40,
    EXPRESSIONS = 150,
};

static struct ingest_schedule of(const char *expression, uint32_t duration_s)
{
    struct ingest_schedule s;
    struct kn_err err = {0};
    if (ingest_schedule_parse(kn_str_from(expression), duration_s, &s, &err) < 0)
        fail_msg("%s: %s", expression, err.text);
    return s;
}

static int64_t at(const char *text)
{
    struct tm tm = {0};
    assert_int_equal(sscanf(text, "%d-%d-%d %d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                            &tm.tm_hour, &tm.tm_min, &tm.tm_sec),
                     6);
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return timegm(&tm);
}

/* --- the reference ---------------------------------------------------------------------------- */
static int whole(const char *text)
{
    return (int) strtoull(text, NULL, 10);
}

static int number_of(const char *text)
{
    static const char *const names = "SUN1MON2TUE3WED4THU5FRI6SAT7"
                                     "JAN1FEB2MAR3APR4MAY5JUN6JUL7AUG8SEP9OCT10NOV11DEC12";
    char upper[4] = "";
    for (size_t i = 0; i < 3 && text[i]; i++)
        upper[i] = (char) (text[i] & ~0x20);
    const char *name = strlen(upper) == 3 && text[0] > '9' ? strstr(names, upper) : NULL;
    return whole(name ? name + 3 : text);
}

static bool item_means(const char *item, int value, int min, int max)
{
    const char *slash = strchr(item, '/'), *dash = strchr(item, '-');
    int step = slash ? whole(slash + 1) : 1, low = min, high = max;
    if (*item != '*' && *item != '/') {
        low = number_of(item);
        high = dash ? number_of(dash + 1) : slash ? max : low;
    }
    for (int v = low, taken = 0;; v = v == max ? min : v + 1, taken++) {
        if (v == value && taken % step == 0)
            return true;
        if (v == high)
            return false;
    }
}

static bool means(const char *field, int value, int min, int max)
{
    char copy[128], *rest = NULL;
    snprintf(copy, sizeof copy, "%s", field);
    for (char *item = strtok_r(copy, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
        if (item_means(item, value, min, max))
            return true;
    }
    return false;
}

static struct tm day_after(const struct tm *day, int days)
{
    struct tm tm = *day;
    tm.tm_mday += days;
    (void) timegm(&tm);
    return tm;
}

/* The workday of the month that is nearest to a day. */
static int workday_near(const struct tm *day, int wanted)
{
    int best = -100;
    for (int offset = -31; offset <= 31; offset++) {
        struct tm other = day_after(day, offset);
        if (other.tm_mon == day->tm_mon && other.tm_wday != 0 && other.tm_wday != 6 &&
            abs(other.tm_mday - wanted) < abs(best - wanted))
            best = other.tm_mday;
    }
    return best;
}

static int last_of(const struct tm *day)
{
    int last = day->tm_mday;
    while (day_after(day, last - day->tm_mday + 1).tm_mon == day->tm_mon)
        last++;
    return last;
}

static bool day_means(const char *dom, const char *dow, const struct tm *day)
{
    size_t len = strlen(dom);
    const char *nth = strchr(dow, '#');
    if (!strcmp(dow, "?")) {
        int wanted = *dom == 'L' ? last_of(day) - (dom[1] == '-' ? whole(dom + 2) : 0) : whole(dom);
        if (dom[len - 1] == 'W')
            return wanted >= 1 && wanted <= last_of(day) &&
                   workday_near(day, wanted) == day->tm_mday;
        return *dom == 'L' ? wanted == day->tm_mday : means(dom, day->tm_mday, 1, 31);
    }
    if (nth)
        return number_of(dow) == day->tm_wday + 1 && (day->tm_mday + 6) / 7 == whole(nth + 1);
    if (!strcmp(dow, "L"))
        return day->tm_wday == 6;
    if (dow[strlen(dow) - 1] == 'L')
        return number_of(dow) == day->tm_wday + 1 && day_after(day, 7).tm_mon != day->tm_mon;
    return means(dow, day->tm_wday + 1, 1, 7);
}

struct fields {
    char text[7][40];
};

/* The first starts from from_s on, within DAYS_SEEN days; how many. */
static size_t starts_of(const struct fields *f, int64_t from_s, int64_t *starts, size_t cap)
{
    size_t count = 0;
    bool seconds[60], minutes[60], hours[24];
    for (int i = 0; i < 60; i++) {
        seconds[i] = means(f->text[0], i, 0, 59);
        minutes[i] = means(f->text[1], i, 0, 59);
        if (i < 24)
            hours[i] = means(f->text[2], i, 0, 23);
    }
    for (int64_t day = from_s / DAY_S; day < from_s / DAY_S + DAYS_SEEN; day++) {
        struct tm tm;
        (void) gmtime_r(&(time_t){day * DAY_S}, &tm);
        if (!means(f->text[4], tm.tm_mon + 1, 1, 12) ||
            !means(f->text[6], tm.tm_year + 1900, 1970, 2199) ||
            !day_means(f->text[3], f->text[5], &tm))
            continue;
        for (int s = 0; s < DAY_S && count < cap; s++) {
            if (hours[s / 3600] && minutes[s / 60 % 60] && seconds[s % 60] &&
                day * DAY_S + s >= from_s)
                starts[count++] = day * DAY_S + s;
        }
    }
    return count;
}

/* --- expressions by chance -------------------------------------------------------------------- */
static uint64_t state;

static unsigned below(unsigned n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned) (state >> 33) % n;
}

static void make_field(char *dst, size_t cap, unsigned min, unsigned max, bool wraps)
{
    unsigned span = max - min + 1, a = min + below(span), b = min + below(span);
    unsigned step = 1 + below(span - 1);
    if (!wraps && a > b) {
        unsigned c = a;
        a = b;
        b = c;
    }
    switch (below(8)) {
    case 0:
        snprintf(dst, cap, "*/%u", step);
        break;
    case 1:
        snprintf(dst, cap, "%u-%u", a, b);
        break;
    case 2:
        snprintf(dst, cap, "%u-%u/%u", a, b, step);
        break;
    case 3:
        snprintf(dst, cap, "%u,%u", a, b);
        break;
    case 4:
        snprintf(dst, cap, "%u/%u", a, step);
        break;
    case 5:
        snprintf(dst, cap, "%u", a);
        break;
    default:
        snprintf(dst, cap, "*");
    }
}

static void make_days(struct fields *f)
{
    char *dom = f->text[3], *dow = f->text[5];
    const size_t cap = sizeof f->text[3];
    static const char *const names[] = {"SUN", "mon", "TUE", "Wed", "THU", "FRI", "sat"};
    snprintf(dom, cap, "?");
    snprintf(dow, cap, "?");
    switch (below(9)) {
    case 0:
        snprintf(dom, cap, "L");
        break;
    case 1:
        snprintf(dom, cap, "L-%u", below(31));
        break;
    case 2:
        snprintf(dom, cap, "L-%uW", below(31));
        break;
    case 3:
        snprintf(dom, cap, "%uW", 1 + below(31));
        break;
    case 4:
        snprintf(dow, cap, "%u#%u", 1 + below(7), 1 + below(5));
        break;
    case 5:
        snprintf(dow, cap, "%sL", names[below(7)]);
        break;
    case 6:
        snprintf(dow, cap, "%s-%s", names[below(7)], names[below(7)]);
        break;
    case 7:
        make_field(dow, cap, 1, 7, true);
        break;
    default:
        make_field(dom, cap, 1, 31, true);
    }
}

static void make(struct fields *f)
{
    make_field(f->text[0], sizeof f->text[0], 0, 59, true);
    make_field(f->text[1], sizeof f->text[1], 0, 59, true);
    make_field(f->text[2], sizeof f->text[2], 0, 23, true);
    make_field(f->text[4], sizeof f->text[4], 1, 12, true);
    make_days(f);
    snprintf(f->text[6], sizeof f->text[6], "*");
    if (below(4) == 0)
        make_field(f->text[6], sizeof f->text[6], 2020, 2030, false);
}

/* Is a window open, by the starts alone? */
static bool is_open(const int64_t *starts, size_t count, int64_t now_s, int64_t duration_s)
{
    for (size_t i = 0; i < count; i++) {
        if (starts[i] <= now_s && now_s < starts[i] + duration_s)
            return true;
    }
    return false;
}

static void compare(const struct fields *f, int64_t from_s)
{
    char text[300];
    int64_t starts[STARTS_SEEN], next_s = from_s, until_s;
    const uint32_t duration_s = 60 + below(3541);
    snprintf(text, sizeof text, "%s %s %s %s %s %s %s", f->text[0], f->text[1], f->text[2],
             f->text[3], f->text[4], f->text[5], f->text[6]);
    struct ingest_schedule s = of(text, duration_s);
    size_t count = starts_of(f, from_s, starts, STARTS_SEEN);
    for (size_t i = 0; i < count; i++) {
        int64_t got_s = ingest_schedule_next(&s, next_s);
        if (got_s != starts[i])
            fail_msg("\"%s\" from %" PRId64 ": %" PRId64 ", not %" PRId64, text, next_s, got_s,
                     starts[i]);
        next_s = got_s + 1;
    }
    if (count < STARTS_SEEN && ingest_schedule_next(&s, next_s) < from_s + DAY_S * (DAYS_SEEN - 1))
        fail_msg("\"%s\": one more start after %" PRId64, text, next_s);
    for (size_t i = 0; i < 200 && count == STARTS_SEEN; i++) {
        int64_t now_s = starts[0] + below((unsigned) (starts[count - 1] - starts[0]) + 1);
        bool open = ingest_schedule_open(&s, now_s, &until_s);
        if (open != is_open(starts, count, now_s, duration_s) || until_s <= now_s)
            fail_msg("\"%s\" for %u s at %" PRId64 ": open %d", text, duration_s, now_s, open);
        for (int64_t t = now_s; t < until_s && t < now_s + 300; t++) {
            if (t <= starts[count - 1] && is_open(starts, count, t, duration_s) != open)
                fail_msg("\"%s\": changes before %" PRId64, text, until_s);
        }
    }
}

TEST(windows_begin_when_a_reference_says_so)
{

    uint64_t seed = (uint64_t) kn_mono_ns(kn_clock_system());
    const char *given = getenv("KINEMA_SEED");
    state = given ? strtoull(given, NULL, 10) : seed;
    print_message("KINEMA_SEED=%" PRIu64 "\n", state);
    for (size_t i = 0; i < EXPRESSIONS; i++) {
        struct fields f;
        make(&f);
        compare(&f, at("2020-01-01 00:00:00") + (int64_t) below(6 * 365) * DAY_S + below(DAY_S));
    }
}

/* --- what is known of single ones ------------------------------------------------------------- */
TEST(examples_of_the_manual_mean_what_it_says)
{
    static const struct {
        const char *expression, *from, *start;
    } rows[] = {
        {"0 0 12 * * ?",            "2026-11-28 12:00:01", "2026-11-29 12:00:00"},
        {"0 15 10 ? * *",           "2026-11-28 00:00:00", "2026-11-28 10:15:00"},
        {"0 15 10 * * ? 2027",      "2026-11-28 00:00:00", "2027-01-01 10:15:00"},
        {"0 0/5 14,18 * * ?",       "2026-11-28 14:56:00", "2026-11-28 18:00:00"},
        {"0 0-5 14 * * ?",          "2026-11-28 14:05:01", "2026-11-29 14:00:00"},
        {"0 10,44 14 ? 3 WED",      "2026-11-28 00:00:00", "2027-03-03 14:10:00"},
        {"0 15 10 ? * MON-FRI",     "2026-11-28 00:00:00", "2026-11-30 10:15:00"},
        {"0 15 10 L * ?",           "2028-02-01 00:00:00", "2028-02-29 10:15:00"},
        {"0 15 10 L-2 * ?",         "2027-02-01 00:00:00", "2027-02-26 10:15:00"},
        {"0 15 10 ? * 6L",          "2026-11-28 00:00:00", "2026-12-25 10:15:00"},
        {"0 15 10 ? * 6#3",         "2026-11-01 00:00:00", "2026-11-20 10:15:00"},
        {"0 0 12 1/5 * ?",          "2026-11-28 00:00:00", "2026-12-01 12:00:00"},
        {"0 11 11 11 11 ?",         "2026-11-28 00:00:00", "2027-11-11 11:11:00"},
        {"0 0 9 15W * ?",           "2026-11-01 00:00:00", "2026-11-16 09:00:00"},
        {"0 0 9 1W * ?",            "2026-08-01 00:00:00", "2026-08-03 09:00:00"},
        {"0 0 9 LW * ?",            "2026-10-01 00:00:00", "2026-10-30 09:00:00"},
        {"0 0 9 29 2 ?",            "2096-03-01 00:00:00", "2104-02-29 09:00:00"},
        {"30 0 22-2/2 ? NOV-FEB L", "2026-11-28 22:00:31", "2026-12-05 00:00:30"},
        {"\t0  0 12 *\t* ?  ",      "2026-11-28 00:00:00", "2026-11-28 12:00:00"},
        {"59 59 23 31 12 ? 2199",   "2026-11-28 00:00:00", "2199-12-31 23:59:59"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        struct ingest_schedule s = of(rows[i].expression, 60);
        int64_t got_s = ingest_schedule_next(&s, at(rows[i].from));
        if (got_s != at(rows[i].start))
            fail_msg("\"%s\": %" PRId64 ", not %s", rows[i].expression, got_s, rows[i].start);
    }
}

TEST(a_window_is_open_from_its_first_second_to_before_its_end)
{
    struct ingest_schedule s = of("0 0 8 ? * MON-FRI", 3600);
    int64_t until_s;
    assert_false(ingest_schedule_open(&s, at("2026-11-30 07:59:59"), &until_s));
    assert_int_equal(until_s, at("2026-11-30 08:00:00"));
    assert_true(ingest_schedule_open(&s, at("2026-11-30 08:00:00"), &until_s));
    assert_int_equal(until_s, at("2026-11-30 09:00:00"));
    assert_true(ingest_schedule_open(&s, at("2026-11-30 08:59:59"), &until_s));
    assert_false(ingest_schedule_open(&s, at("2026-11-30 09:00:00"), &until_s));
    assert_int_equal(until_s, at("2026-12-01 08:00:00"));
}

TEST(windows_that_touch_are_one)
{
    struct ingest_schedule s = of("0 0 8-17 ? * MON-FRI", 3600);
    int64_t until_s;
    for (int64_t t = at("2026-11-30 08:00:00"); t < at("2026-11-30 18:00:00"); t++)
        assert_true(ingest_schedule_open(&s, t, &until_s));
    assert_false(ingest_schedule_open(&s, at("2026-11-30 18:00:00"), &until_s));
    assert_int_equal(until_s, at("2026-12-01 08:00:00"));
}

TEST(a_schedule_that_is_over_or_never_comes_never_opens)
{
    int64_t until_s;
    struct ingest_schedule s = of("0 0 0 30 2 ?", 60);
    assert_int_equal(ingest_schedule_next(&s, 0), INT64_MAX);
    s = of("0 0 0 1 1 ? 2001", 60);
    assert_false(ingest_schedule_open(&s, at("2026-11-30 08:00:00"), &until_s));
    assert_int_equal(until_s, INT64_MAX);
    assert_int_equal(ingest_schedule_next(&s, INT64_MAX), INT64_MAX);
}

TEST(what_is_no_schedule_is_refused_with_the_field_that_is_wrong)
{
    static const struct {
        const char *expression, *said;
    } bad[] = {
        {"",                                  "6 or 7 fields" },
        {"0 0 12 * *",                        "not 5"         },
        {"0 0 12 * * ? * *",                  "not 8"         },
        {"60 0 12 * * ?",                     "seconds"       },
        {"0 60 12 * * ?",                     "minutes"       },
        {"0 0 24 * * ?",                      "hours"         },
        {"0 0 12 0 * ?",                      "day-of-month"  },
        {"0 0 12 32 * ?",                     "day-of-month"  },
        {"0 0 12 1 13 ?",                     "month"         },
        {"0 0 12 1 JANUARY ?",                "month"         },
        {"0 0 12 ? * 0",                      "day-of-week"   },
        {"0 0 12 ? * 8",                      "day-of-week"   },
        {"0 0 12 ? * FOO",                    "day-of-week"   },
        {"0 0 12 * * ? 1969",                 "year"          },
        {"0 0 12 * * ? 2030-2020",            "ends before"   },
        {"0 0 12 * * *",                      "is ?"          },
        {"0 0 12 ? * ?",                      "is ?"          },
        {"? 0 12 * * ?",                      "seconds"       },
        {"0 0/0 12 * * ?",                    "step"          },
        {"0 0/60 12 * * ?",                   "step"          },
        {"0 */ 12 * * ?",                     "step"          },
        {"0 1- 12 * * ?",                     "minutes"       },
        {"0 -1 12 * * ?",                     "minutes"       },
        {"0 1,,2 12 * * ?",                   "minutes"       },
        {"0 1, 12 * * ?",                     "minutes"       },
        {"0 0 12 L-31 * ?",                   "L-3W"          },
        {"0 0 12 LX * ?",                     "L-3W"          },
        {"0 0 12 1,L * ?",                    "day-of-month"  },
        {"0 0 12 1,15W * ?",                  "day-of-month"  },
        {"0 0 12 32W * ?",                    "day-of-month"  },
        {"0 0 12 W * ?",                      "day-of-month"  },
        {"0 0 12 ? * 6#0",                    "1 to 5"        },
        {"0 0 12 ? * 6#6",                    "1 to 5"        },
        {"0 0 12 ? * #2",                     "day-of-week"   },
        {"0 0 12 ? * 1,6L",                   "day-of-week"   },
        {"0 0 12 ? * 6#1,6#2",                "1 to 5"        },
        {"0 0 12 1 L ?",                      "month"         },
        {"0 0 12 1 1 ? 99999999999999999999", "year"          },
        {"0 0 12 1 1 ?                                                                             "
         "                      ",   "100 characters"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(bad); i++) {
        struct ingest_schedule s;
        struct kn_err err = {0};
        assert_int_equal(ingest_schedule_parse(kn_str_from(bad[i].expression), 60, &s, &err),
                         -EINVAL);
        if (!strstr(err.text, bad[i].said))
            fail_msg("\"%s\": %s", bad[i].expression, err.text);
    }
}

TESTS_MAIN(TEST_OF(windows_begin_when_a_reference_says_so),
           TEST_OF(examples_of_the_manual_mean_what_it_says),
           TEST_OF(a_window_is_open_from_its_first_second_to_before_its_end),
           TEST_OF(windows_that_touch_are_one),
           TEST_OF(a_schedule_that_is_over_or_never_comes_never_opens),
           TEST_OF(what_is_no_schedule_is_refused_with_the_field_that_is_wrong))
