/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See schedule.h. Of Quartz's language all is taken but L, W and # within lists, which its own
 * versions do not agree on. As there, one of day-of-month and day-of-week must be ?.
 */
#include "schedule.h"

enum {
    DAY_S = 86400,
    FIELDS_MIN = 6,
    FIELDS_MAX = 7,
    WEEKDAYS = 7,
    NTH_MAX = 5,
};

static const char *const month_names[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                          "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
static const char *const weekday_names[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

struct field {
    const char *name;
    unsigned min, max, base;  /* base: what the set's first bit stands for */
    const char *const *names; /* of min and the following */
    size_t name_count;
    bool wraps; /* 22-2 is 22, 23, 0, 1, 2 */
};

enum {
    SECONDS,
    MINUTES,
    HOURS,
    DAY_OF_MONTH,
    MONTH,
    DAY_OF_WEEK,
    YEAR
};
static const struct field fields[FIELDS_MAX] = {
    [SECONDS] = {"seconds",      0,                        59,                       0,                        NULL,          0,                           true },
    [MINUTES] = {"minutes",      0,                        59,                       0,                        NULL,          0,                           true },
    [HOURS] = {"hours",        0,                        23,                       0,                        NULL,          0,                           true },
    [DAY_OF_MONTH] = {"day-of-month", 1,                        31,                       0,                        NULL,          0,                           true },
    [MONTH] = {"month",        1,                        12,                       0,                        month_names,   KN_ARRAY_LEN(month_names),   true },
    [DAY_OF_WEEK] = {"day-of-week",  1,                        WEEKDAYS,                 0,                        weekday_names, KN_ARRAY_LEN(weekday_names),
                 true                                                                                                                                           },
    [YEAR] = {"year",         INGEST_SCHEDULE_YEAR_MIN, INGEST_SCHEDULE_YEAR_MAX, INGEST_SCHEDULE_YEAR_MIN,
                 NULL,                                                                                                        0,                           false},
};

static bool has(const struct ingest_schedule_set *set, unsigned bit)
{
    return (set->bits[bit / 64] >> bit % 64 & 1) != 0;
}

static void add(struct ingest_schedule_set *set, unsigned bit)
{
    set->bits[bit / 64] |= (uint64_t) 1 << bit % 64;
}

/* --- the language ----------------------------------------------------------------------------- */
static int bad(struct kn_err *err, const struct field *field, struct kn_str text, const char *why)
{
    return kn_fail(
        err, -EINVAL, "%s: \"" KN_STR_FMT "\" %s", field->name,
        KN_STR_ARG(((struct kn_str){text.ptr ? text.ptr : "", kn_min_u64(text.len, 40)})), why);
}

static int value_of(const struct field *field, struct kn_str text, unsigned *ret,
                    struct kn_err *err)
{
    uint64_t number = 0;
    for (size_t i = 0; i < field->name_count; i++) {
        if (kn_str_eq_nocase(text, kn_str_from(field->names[i]))) {
            *ret = field->min + (unsigned) i;
            return 0;
        }
    }
    if (kn_str_to_u64(text, field->max, &number) < 0 || number < field->min)
        return kn_fail(
            err, -EINVAL, "%s: \"" KN_STR_FMT "\" is not a value from %u to %u", field->name,
            KN_STR_ARG(((struct kn_str){text.ptr ? text.ptr : "", kn_min_u64(text.len, 40)})),
            field->min, field->max);
    *ret = (unsigned) number;
    return 0;
}

/* "*", "7", "7-9", each with or without "/2"; "7/2" goes up to the greatest value. */
static int item_of(const struct field *field, struct kn_str item, struct ingest_schedule_set *set,
                   struct kn_err *err)
{
    struct kn_str range, from;
    struct kn_str step_text = kn_str_cut(item, '/', &range);
    struct kn_str to = kn_str_cut(range, '-', &from);
    uint64_t step = 1;
    unsigned low = field->min, high = field->max;
    const unsigned span = field->max - field->min + 1;
    if (step_text.ptr && (kn_str_to_u64(step_text, span - 1, &step) < 0 || step == 0))
        return bad(err, field, item, "has a step that is 0 or too large");
    if (!kn_str_eq(range, KN_STR("*")) && !(range.len == 0 && step_text.ptr)) {
        int r = value_of(field, from, &low, err);
        if (r == 0 && to.ptr)
            r = value_of(field, to, &high, err);
        if (r < 0)
            return r;
        if (!to.ptr && !step_text.ptr)
            high = low;
    }
    if (low > high && !field->wraps)
        return bad(err, field, item, "ends before it begins");
    unsigned count = (high + span - low) % span;
    for (unsigned i = 0; i <= count; i += (unsigned) step)
        add(set, field->min + (low - field->min + i) % span - field->base);
    return 0;
}

static int list_of(const struct field *field, struct kn_str text, struct ingest_schedule_set *set,
                   struct kn_err *err)
{
    do {
        struct kn_str item;
        text = kn_str_cut(text, ',', &item);
        int r = item_of(field, item, set, err);
        if (r < 0)
            return r;
    } while (text.ptr);
    return 0;
}

static bool ends_in(struct kn_str text, char letter)
{
    return text.len > 0 && (text.ptr[text.len - 1] | 0x20) == letter;
}

/* L, L-3, LW, L-3W, 15W, or a list of days. */
static int days_of_month(struct kn_str text, struct ingest_schedule *s, struct kn_err *err)
{
    const struct field *field = &fields[DAY_OF_MONTH];
    bool workday = ends_in(text, 'w');
    struct kn_str day = workday ? (struct kn_str){text.ptr, text.len - 1} : text, head;
    bool last = day.len > 0 && (day.ptr[0] | 0x20) == 'l';
    if (!last && !workday) {
        s->kind = INGEST_SCHEDULE_DAYS;
        return list_of(field, text, &s->days, err);
    }
    if (!last) {
        s->kind = INGEST_SCHEDULE_WORKDAY;
        return value_of(field, day, &s->day, err);
    }
    s->kind = workday ? INGEST_SCHEDULE_LAST_WORKDAY : INGEST_SCHEDULE_LAST;
    struct kn_str before = kn_str_cut(day, '-', &head);
    uint64_t number = 0;
    if (head.len != 1 || (before.ptr && kn_str_to_u64(before, field->max - 1, &number) < 0))
        return bad(err, field, text, "is none of L, L-3, LW, L-3W");
    s->day = (unsigned) number;
    return 0;
}

/* L (which is SAT), 6L, FRIL, 6#3, FRI#3, or a list of weekdays. */
static int days_of_week(struct kn_str text, struct ingest_schedule *s, struct kn_err *err)
{
    const struct field *field = &fields[DAY_OF_WEEK];
    struct kn_str weekday;
    uint64_t nth = 0;
    struct kn_str nth_text = kn_str_cut(text, '#', &weekday);
    if (nth_text.ptr) {
        s->kind = INGEST_SCHEDULE_NTH_WEEKDAY;
        if (kn_str_to_u64(nth_text, NTH_MAX, &nth) < 0 || nth == 0)
            return bad(err, field, text, "has no number from 1 to 5 after #");
        s->nth = (unsigned) nth;
        return value_of(field, weekday, &s->day, err);
    }
    if (ends_in(text, 'l') && text.len > 1) {
        s->kind = INGEST_SCHEDULE_LAST_WEEKDAY;
        return value_of(field, (struct kn_str){text.ptr, text.len - 1}, &s->day, err);
    }
    s->kind = INGEST_SCHEDULE_WEEKDAYS;
    if (!ends_in(text, 'l'))
        return list_of(field, text, &s->days, err);
    add(&s->days, WEEKDAYS);
    return 0;
}

static int days_of(const struct kn_str *text, struct ingest_schedule *s, struct kn_err *err)
{
    bool any_day = kn_str_eq(text[DAY_OF_MONTH], KN_STR("?"));
    bool any_weekday = kn_str_eq(text[DAY_OF_WEEK], KN_STR("?"));
    if (any_day == any_weekday)
        return kn_fail(err, -EINVAL, "one of day-of-month and day-of-week is ?, the other is not");
    return any_day ? days_of_week(text[DAY_OF_WEEK], s, err)
                   : days_of_month(text[DAY_OF_MONTH], s, err);
}

/* Blanks and tabs part them. */
static size_t split(struct kn_str text, struct kn_str *parts, size_t cap)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len;) {
        size_t from = i;
        bool blank = text.ptr[i] == ' ' || text.ptr[i] == '\t';
        while (i < text.len && (text.ptr[i] == ' ' || text.ptr[i] == '\t') == blank)
            i++;
        if (!blank && count < cap)
            parts[count] = (struct kn_str){text.ptr + from, i - from};
        count += blank ? 0 : 1;
    }
    return count;
}

int ingest_schedule_parse(struct kn_str expression, uint32_t duration_s,
                          struct ingest_schedule *ret, struct kn_err *err)
{
    struct kn_str text[FIELDS_MAX] = {[YEAR] = KN_STR_INIT("*")};
    size_t count = split(expression, text, FIELDS_MAX);
    if (expression.len > INGEST_SCHEDULE_BYTES_MAX)
        return kn_fail(err, -EINVAL, "it has at most %d characters", INGEST_SCHEDULE_BYTES_MAX);
    if (count < FIELDS_MIN || count > FIELDS_MAX)
        return kn_fail(err, -EINVAL,
                       "it has 6 or 7 fields (seconds minutes hours day-of-month month "
                       "day-of-week [year]), not %zu",
                       count);
    *ret = (struct ingest_schedule){.duration_s = duration_s};
    struct ingest_schedule_set *const sets[FIELDS_MAX] = {
        [SECONDS] = &ret->seconds, [MINUTES] = &ret->minutes, [HOURS] = &ret->hours,
        [MONTH] = &ret->months,    [YEAR] = &ret->years,
    };
    for (size_t i = 0; i < FIELDS_MAX; i++) {
        int r = sets[i] ? list_of(&fields[i], text[i], sets[i], err) : 0;
        if (r < 0)
            return r;
    }
    return days_of(text, ret, err);
}

/* --- the calendar ----------------------------------------------------------------------------- */
static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned month_days(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

struct month {
    unsigned year, month, days;
    int64_t first; /* its first day, in days since 1970 */
};

static void month_next(struct month *m)
{
    m->first += m->days;
    m->month = m->month % 12 + 1;
    m->year += m->month == 1 ? 1 : 0;
    m->days = month_days(m->year, m->month);
}

/* 1 is Sunday, as in an expression; 1970 began on a Thursday. */
static unsigned weekday(const struct month *m, unsigned day)
{
    return (unsigned) ((m->first + day - 1 + 4) % WEEKDAYS) + 1;
}

/* From Monday to Friday, in the same month. */
static unsigned nearest_workday(const struct month *m, unsigned day)
{
    switch (weekday(m, day)) {
    case 7:
        return day > 1 ? day - 1 : day + 2;
    case 1:
        return day < m->days ? day + 1 : day - 2;
    default:
        return day;
    }
}

static bool is_due(const struct ingest_schedule *s, const struct month *m, unsigned day)
{
    bool right_weekday = weekday(m, day) == s->day;
    switch (s->kind) {
    case INGEST_SCHEDULE_DAYS:
        return has(&s->days, day);
    case INGEST_SCHEDULE_LAST:
        return day + s->day == m->days;
    case INGEST_SCHEDULE_LAST_WORKDAY:
        return s->day < m->days && day == nearest_workday(m, m->days - s->day);
    case INGEST_SCHEDULE_WORKDAY:
        return s->day <= m->days && day == nearest_workday(m, s->day);
    case INGEST_SCHEDULE_WEEKDAYS:
        return has(&s->days, weekday(m, day));
    case INGEST_SCHEDULE_LAST_WEEKDAY:
        return right_weekday && day + WEEKDAYS > m->days;
    case INGEST_SCHEDULE_NTH_WEEKDAY:
        return right_weekday && (day - 1) / WEEKDAYS + 1 == s->nth;
    }
    return false;
}

/* The first second of a day from at on; -1: none. */
static int64_t due_in_day(const struct ingest_schedule *s, unsigned at)
{
    for (unsigned hour = at / 3600; hour < 24; hour++, at = hour * 3600) {
        if (!has(&s->hours, hour))
            continue;
        for (unsigned minute = at / 60 % 60; minute < 60;
             minute++, at = hour * 3600 + minute * 60) {
            for (unsigned second = at % 60; has(&s->minutes, minute) && second < 60; second++) {
                if (has(&s->seconds, second))
                    return hour * 3600 + minute * 60 + second;
            }
        }
    }
    return -1;
}

int64_t ingest_schedule_next(const struct ingest_schedule *s, int64_t from_s)
{
    from_s = kn_max_i64(from_s, 0);
    const int64_t from_day = from_s / DAY_S;
    struct month m = {.year = INGEST_SCHEDULE_YEAR_MIN, .month = 1, .days = 31};
    for (; m.year <= INGEST_SCHEDULE_YEAR_MAX; month_next(&m)) {
        if (m.first + m.days <= from_day || !has(&s->months, m.month) ||
            !has(&s->years, m.year - INGEST_SCHEDULE_YEAR_MIN))
            continue;
        for (unsigned day = 1; day <= m.days; day++) {
            int64_t today = m.first + day - 1;
            if (today < from_day || !is_due(s, &m, day))
                continue;
            int64_t second = due_in_day(s, today == from_day ? (unsigned) (from_s % DAY_S) : 0);
            if (second >= 0)
                return today * DAY_S + second;
        }
    }
    return INT64_MAX;
}

bool ingest_schedule_open(const struct ingest_schedule *s, int64_t now_s, int64_t *ret_until_s)
{
    int64_t begins_s = ingest_schedule_next(s, now_s - (int64_t) s->duration_s + 1);
    bool open = begins_s <= now_s;
    *ret_until_s = open ? begins_s + (int64_t) s->duration_s : begins_s;
    return open;
}
