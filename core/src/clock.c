/* SPDX-License-Identifier: Apache-2.0 */
/* The system's clock, a clock for tests, and the text forms of a moment. */
#include "core/clock.h"

#include <errno.h>

static int64_t system_wall_ms(struct kn_clock *clock KN_UNUSED)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_mono_ns(struct kn_clock *clock KN_UNUSED)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

struct kn_clock *kn_clock_system(void)
{
    static struct kn_clock system_clock = {.wall_ms = system_wall_ms, .mono_ns = system_mono_ns};

    return &system_clock;
}

static int64_t fake_wall_ms(struct kn_clock *clock)
{
    return KN_CONTAINER_OF(clock, struct kn_fake_clock, clock)->wall_ms;
}

static int64_t fake_mono_ns(struct kn_clock *clock)
{
    return KN_CONTAINER_OF(clock, struct kn_fake_clock, clock)->mono_ns;
}

void kn_fake_clock_init(struct kn_fake_clock *fake, int64_t wall_ms)
{
    fake->clock = (struct kn_clock){.wall_ms = fake_wall_ms, .mono_ns = fake_mono_ns};
    fake->wall_ms = wall_ms;
    fake->mono_ns = 1000000000;
}

void kn_fake_clock_advance(struct kn_fake_clock *fake, int64_t by_ms)
{
    fake->wall_ms += by_ms;
    fake->mono_ns += by_ms * 1000000;
}

static void split(int64_t wall_ms, struct tm *ret, int *ret_ms)
{
    int64_t seconds = wall_ms / 1000;
    int64_t ms = wall_ms % 1000;
    time_t t;

    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    /* years 0001 to 9999: what the fixed-width forms can say */
    t = (time_t) kn_max_i64(-62135596800, kn_min_i64(253402300799, seconds));
    (void) gmtime_r(&t, ret);
    *ret_ms = (int) ms;
}

void kn_time_iso8601(int64_t wall_ms, char dst[KN_TIME_TEXT_BYTES])
{
    struct tm tm;
    size_t len;
    int ms;

    split(wall_ms, &tm, &ms);
    len = strftime(dst, KN_TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    (void) snprintf(dst + len, KN_TIME_TEXT_BYTES - len, ".%03dZ", ms);
}

void kn_time_amz(int64_t wall_ms, char dst[KN_TIME_TEXT_BYTES])
{
    struct tm tm;
    int ms;

    split(wall_ms, &tm, &ms);
    (void) strftime(dst, KN_TIME_TEXT_BYTES, "%Y%m%dT%H%M%SZ", &tm);
}

void kn_time_http(int64_t wall_ms, char dst[KN_TIME_TEXT_BYTES])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    int ms;

    split(wall_ms, &tm, &ms);
    (void) snprintf(dst, KN_TIME_TEXT_BYTES, "%s, %02u %s %04u %02u:%02u:%02u GMT",
                    days[tm.tm_wday], (unsigned) tm.tm_mday % 100, months[tm.tm_mon],
                    (unsigned) (tm.tm_year + 1900) % 10000, (unsigned) tm.tm_hour % 100,
                    (unsigned) tm.tm_min % 100, (unsigned) tm.tm_sec % 100);
}

/* -EINVAL: something else. */
static int digits(const char *at, size_t count)
{
    uint64_t value = 0;
    int r = kn_str_to_u64((struct kn_str){at, count}, 9999, &value);

    return r < 0 ? r : (int) value;
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Of the proleptic Gregorian calendar, from 1970-01-01 to this month's first; year: 1970 or later.
 */
static int64_t days_before(int year, int month)
{
    static const int16_t before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t past = year - 1; /* whole years since the year 1 */

    return past * 365 + past / 4 - past / 100 + past / 400 - 719162 + before[month - 1] +
           (month > 2 && is_leap(year));
}

/* Not by timegm, which has a lock for all threads. */
int kn_time_parse_amz(struct kn_str s, int64_t *ret_wall_ms)
{
    static const uint8_t lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const char *p = s.ptr;
    int year, month, day, hour, minute, second;

    if (s.len != 16 || p[8] != 'T' || p[15] != 'Z')
        return -EINVAL;
    year = digits(p, 4);
    month = digits(p + 4, 2);
    day = digits(p + 6, 2);
    hour = digits(p + 9, 2);
    minute = digits(p + 11, 2);
    second = digits(p + 13, 2);
    if (year < 1970) /* kn_time_amz could not write it back */
        return -EINVAL;
    if (month < 1 || month > 12 || day < 1 ||
        day > lengths[month - 1] + (month == 2 && is_leap(year)))
        return -EINVAL;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
        return -EINVAL;
    *ret_wall_ms =
        (((days_before(year, month) + day - 1) * 24 + hour) * 60 + minute) * 60000 + second * 1000;
    return 0;
}
