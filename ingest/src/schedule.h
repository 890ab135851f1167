/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a camera records: a Quartz cron expression says when windows begin, and a duration how long
 * each lasts. Windows may overlap and touch. All times are UTC, in whole seconds since 1970.
 * @source KVS API reference, ScheduleConfig; Quartz 2.3 cron trigger tutorial
 */
#ifndef INGEST_SRC_SCHEDULE_H
#define INGEST_SRC_SCHEDULE_H

#include "core/bytes.h"
#include "core/err.h"

enum {
    INGEST_SCHEDULE_BYTES_MAX = 100, /* of an expression */
    INGEST_SCHEDULE_YEAR_MIN = 1970,
    INGEST_SCHEDULE_YEAR_MAX = 2199,
};

/* Values of one field; a year counts from 1970. */
struct ingest_schedule_set {
    uint64_t bits[4];
};

enum ingest_schedule_days {
    INGEST_SCHEDULE_DAYS,         /* of the month: days */
    INGEST_SCHEDULE_LAST,         /* L, L-3: before days from the end */
    INGEST_SCHEDULE_LAST_WORKDAY, /* LW, L-3W: the workday nearest to that, in the same month */
    INGEST_SCHEDULE_WORKDAY,      /* 15W: the workday nearest to day, in the same month */
    INGEST_SCHEDULE_WEEKDAYS,     /* days, 1 is Sunday */
    INGEST_SCHEDULE_LAST_WEEKDAY, /* 6L: the last such day of the month */
    INGEST_SCHEDULE_NTH_WEEKDAY,  /* 6#3: the third such day of the month, if there is one */
};

struct ingest_schedule {
    struct ingest_schedule_set seconds, minutes, hours, days, months, years;
    enum ingest_schedule_days kind;
    unsigned day, nth; /* of the kinds that have one: the day or weekday, and what is said of it */
    uint32_t duration_s;
};

/* -EINVAL: err says which field, and what is wrong with it. */
int ingest_schedule_parse(struct kn_str expression, uint32_t duration_s,
                          struct ingest_schedule *ret, struct kn_err *err) KN_MUSTUSE;

/* When the first window begins that begins at from_s or later; INT64_MAX: none ever does. Looks at
 * no more than the months up to INGEST_SCHEDULE_YEAR_MAX: well under a millisecond. */
int64_t ingest_schedule_next(const struct ingest_schedule *schedule, int64_t from_s);

/* Is a window open? *ret_until_s: ask again then, nothing changes before. INT64_MAX: never. */
bool ingest_schedule_open(const struct ingest_schedule *schedule, int64_t now_s,
                          int64_t *ret_until_s);

#endif
