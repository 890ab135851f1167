/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

void camera_clock_init(struct camera_clock *clock, int64_t slack_ms)
{
    *clock = (struct camera_clock){.slack_ms = slack_ms};
}

void camera_clock_stream(struct camera_clock *clock, unsigned stream, unsigned hz)
{
    kn_assert(stream < CAMERA_CLOCK_STREAMS_MAX && hz > 0);
    clock->streams[stream] = (struct camera_clock_stream){.hz = hz};
}

const char *camera_clock_word(const struct camera_clock *clock)
{
    return clock->believed ? "camera" : "arrival";
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

static int64_t media_ms(const struct camera_clock_stream *s, int64_t ticks)
{
    return ticks * 1000 / (int64_t) s->hz;
}

/* Media times wrap after 13 hours of a picture's 90 kHz. */
static int64_t ticks_of(const struct camera_clock_stream *s, uint32_t time)
{
    return s->ticks + (int32_t) (time - s->last);
}

/* --- arrival ---------------------------------------------------------------------------------- */
/* A stream goes where it came, and those with it that then lie where they came. */
static void correct(struct camera_clock *clock, struct camera_clock_stream *s)
{
    clock->believed = false;
    s->shift_ms = s->came_ms - s->own_ms;
    for (unsigned i = 0; i < CAMERA_CLOCK_STREAMS_MAX; i++) {
        struct camera_clock_stream *one = &clock->streams[i];
        if (one->reported &&
            distance(one->own_ms + s->shift_ms, one->came_ms) <= CAMERA_CLOCK_DRIFT_MS)
            one->shift_ms = s->shift_ms;
    }
}

/* A frame cannot come before it was sent: one that comes early shows that those before were late.
 * One that is late says nothing, since a busy machine or link delays it; that all of them are says
 * something. */
static void look_at_arrival(struct camera_clock *clock, struct camera_clock_stream *s,
                            int64_t now_ms)
{
    int64_t late_ms = now_ms - clock->slack_ms - media_ms(s, s->ticks) - s->came_ms;
    s->least_ms = kn_min_i64(s->least_ms, late_ms);
    if (late_ms < 0) {
        s->came_ms += late_ms;
        s->least_ms = 0;
    }
    if (now_ms >= s->look_ms && now_ms - s->look_ms < CAMERA_CLOCK_LOOK_MS)
        return;
    if (s->least_ms > CAMERA_CLOCK_DRIFT_MS)
        s->came_ms += s->least_ms;
    s->least_ms = INT64_MAX;
    s->look_ms = now_ms;
    if (!s->reported)
        return;
    int64_t may_ms = clock->believed ? CAMERA_CLOCK_TRUST_MS : CAMERA_CLOCK_DRIFT_MS;
    if (distance(s->own_ms + s->shift_ms, s->came_ms) > may_ms)
        correct(clock, s);
}

/* --- the camera's clock ----------------------------------------------------------------------- */
static void believe_if_good(struct camera_clock *clock, const struct camera_clock_stream *s,
                            int64_t now_ms)
{
    bool steady = !clock->steps || now_ms - clock->stepped_ms >= CAMERA_CLOCK_STEADY_MS;
    bool good = distance(s->own_ms, s->came_ms) <= CAMERA_CLOCK_TRUST_MS;
    if (clock->believed || !steady || !good)
        return;
    clock->believed = true;
    for (unsigned i = 0; i < CAMERA_CLOCK_STREAMS_MAX; i++)
        clock->streams[i].shift_ms = 0;
}

/* The first report of a stream: it lies beside one that has reported, if there is one, unless the
 * clock has stepped since. */
static void first_report(struct camera_clock *clock, struct camera_clock_stream *s, int64_t now_ms)
{
    const struct camera_clock_stream *other = NULL;
    for (unsigned i = 0; i < CAMERA_CLOCK_STREAMS_MAX; i++) {
        const struct camera_clock_stream *one = &clock->streams[i];
        if (one->reported &&
            distance(s->own_ms + one->shift_ms, s->came_ms) <= CAMERA_CLOCK_TRUST_MS)
            other = one;
    }
    s->reported = true;
    s->shift_ms = other ? other->shift_ms : s->came_ms - s->own_ms;
    if (!other)
        clock->believed = false;
    clock->reported = true;
    if (!other)
        believe_if_good(clock, s, now_ms);
}

void camera_clock_report(struct camera_clock *clock, unsigned stream, uint32_t time, int64_t own_ms,
                         int64_t now_ms)
{
    kn_assert(stream < CAMERA_CLOCK_STREAMS_MAX);
    struct camera_clock_stream *s = &clock->streams[stream];
    int64_t before_ms = s->own_ms, media = media_ms(s, ticks_of(s, time));
    if (!s->begun || distance(media, media_ms(s, s->ticks)) > CAMERA_CLOCK_JUMP_MS) {
        s->waits = true; /* for its first frame, or for media times that have not jumped yet */
        s->waits_time = time;
        s->waits_own_ms = own_ms;
        return;
    }
    s->own_ms = own_ms - media;
    clock->ahead_ms = s->own_ms - s->came_ms;
    if (!s->reported) {
        first_report(clock, s, now_ms);
        return;
    }
    int64_t step_ms = s->own_ms - before_ms;
    if (distance(step_ms, 0) > CAMERA_CLOCK_STEP_MS) {
        s->shift_ms -= step_ms; /* frames go on where they were */
        clock->believed = false;
        clock->steps += now_ms - clock->stepped_ms > CAMERA_CLOCK_LOOK_MS || !clock->steps;
        clock->stepped_ms = now_ms;
    }
    believe_if_good(clock, s, now_ms);
}

static void begin(struct camera_clock *clock, struct camera_clock_stream *s, uint32_t time,
                  int64_t now_ms)
{
    int64_t given_ms = s->given_ms;
    s->begun = true;
    s->reported = false; /* what was reported was of other media times */
    s->last = time;
    s->ticks = time;
    s->arrived_ms = now_ms;
    s->came_ms = now_ms - clock->slack_ms - media_ms(s, s->ticks);
    /* Not before what was given already: the camera began anew, time did not. */
    s->at_ms = s->came_ms;
    if (given_ms > 0 && given_ms + 1 > s->at_ms + media_ms(s, s->ticks))
        s->at_ms = given_ms + 1 - media_ms(s, s->ticks);
    s->least_ms = INT64_MAX;
    s->look_ms = now_ms;
    if (!s->waits)
        return;
    s->waits = false;
    camera_clock_report(clock, (unsigned) (s - clock->streams), s->waits_time, s->waits_own_ms,
                        now_ms);
    if (s->reported && given_ms == 0) /* there is nothing to glide from */
        s->at_ms = s->own_ms + s->shift_ms;
}

/* --- frames ----------------------------------------------------------------------------------- */
int64_t camera_clock_frame(struct camera_clock *clock, unsigned stream, uint32_t time,
                           int64_t now_ms)
{
    kn_assert(stream < CAMERA_CLOCK_STREAMS_MAX);
    struct camera_clock_stream *s = &clock->streams[stream];
    int64_t ticks = ticks_of(s, time), passed_ms = media_ms(s, ticks - s->ticks);
    if (!s->begun) {
        begin(clock, s, time, now_ms);
    } else if (passed_ms < -CAMERA_CLOCK_REORDER_MS ||
               passed_ms - (now_ms - s->arrived_ms) > CAMERA_CLOCK_JUMP_MS) {
        clock->jumps++;
        passed_ms = 0;
        begin(clock, s, time, now_ms);
    } else if (time == s->last) {
        /* A camera that gives no times: where the frame came. */
        s->arrived_ms = now_ms;
        s->given_ms = kn_max_i64(now_ms - clock->slack_ms, s->given_ms);
        return s->given_ms;
    } else {
        s->ticks = ticks;
        s->last = time;
        s->arrived_ms = now_ms;
        look_at_arrival(clock, s, now_ms);
    }
    int64_t target_ms = s->reported ? s->own_ms + s->shift_ms : s->came_ms;
    int64_t most_ms = passed_ms < 2 ? 0 : kn_max_i64(passed_ms / CAMERA_CLOCK_GLIDE, 1);
    int64_t off_ms = target_ms - s->at_ms;
    if (off_ms <= CAMERA_CLOCK_JUMP_MS)
        off_ms = kn_max_i64(kn_min_i64(off_ms, most_ms), -most_ms);
    s->at_ms += off_ms;
    int64_t at_ms = s->at_ms + media_ms(s, s->ticks);
    s->given_ms = kn_max_i64(s->given_ms, at_ms);
    return at_ms;
}
