/* SPDX-License-Identifier: Apache-2.0 */
/* One line an event, written with one write() so that lines of several threads never mix; a flood
 * of one event is cut to 20 lines a second and the rest is counted. */
#include "core/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/json.h"

enum {
    LINE_BYTES_MAX = 2048,
    EVENTS_MAX = 256,
    LINES_PER_SECOND = 20
};

struct event {
    char name[48];
    int64_t second;
    unsigned lines, suppressed;
};

static struct {
    pthread_mutex_t mutex;
    struct event events[EVENTS_MAX]; /* guarded by mutex */
    unsigned event_count;
} limiter = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static _Atomic int log_fd = STDERR_FILENO;
static _Atomic int log_least = KN_LOG_INFO;
static _Atomic int log_format = KN_LOG_TEXT;

void kn_log_setup(int fd, enum kn_log_level least, enum kn_log_format format)
{
    log_fd = fd;
    log_least = (int) least;
    log_format = (int) format;
}

bool kn_log_enabled(enum kn_log_level level)
{
    return (int) level >= atomic_load_explicit(&log_least, memory_order_relaxed);
}

struct kn_log_quoted kn_log_quote_text(struct kn_str s)
{
    static const char digit[] = "0123456789abcdef";
    struct kn_log_quoted q;
    size_t n = 0;

    q.text[n++] = '"';
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char) s.ptr[i];

        if (n >= 200) {
            memcpy(q.text + n, "...", 3);
            n += 3;
            break;
        }
        if (c == '"' || c == '\\') {
            q.text[n++] = '\\';
            q.text[n++] = (char) c;
        } else if (c < 0x20 || c == 0x7f) {
            q.text[n++] = '\\';
            q.text[n++] = 'x';
            q.text[n++] = digit[c >> 4];
            q.text[n++] = digit[c & 15];
        } else {
            q.text[n++] = (char) c;
        }
    }
    q.text[n++] = '"';
    q.text[n] = '\0';
    return q;
}

/* false: drop the line. *ret_suppressed: lines dropped in the second that has ended. */
static bool admit(const char *name, int64_t second, unsigned *ret_suppressed)
{
    struct event *event = NULL;
    bool yes = true;

    *ret_suppressed = 0;
    (void) pthread_mutex_lock(&limiter.mutex);
    for (unsigned i = 0; i < limiter.event_count && !event; i++) {
        if (strncmp(limiter.events[i].name, name, sizeof limiter.events[i].name - 1) == 0)
            event = &limiter.events[i];
    }
    if (!event && limiter.event_count < EVENTS_MAX) {
        event = &limiter.events[limiter.event_count++];
        (void) snprintf(event->name, sizeof event->name, "%s", name);
    }
    if (event) {
        if (event->second != second) {
            *ret_suppressed = event->suppressed;
            event->second = second;
            event->lines = event->suppressed = 0;
        }
        yes = event->lines < LINES_PER_SECOND;
        if (yes)
            event->lines++;
        else
            event->suppressed++;
    }
    (void) pthread_mutex_unlock(&limiter.mutex);
    return yes;
}

/* By the JSON writer, since text may be cut inside a character, or never have been UTF-8. */
static void append_json(struct kn_buf *line, const char *when, const char *level, const char *event,
                        const char *text)
{
    struct kn_json_writer w;

    kn_json_writer_init(&w, line);
    kn_json_object_begin(&w);
    kn_json_key(&w, "time");
    kn_json_text(&w, when);
    kn_json_key(&w, "level");
    kn_json_text(&w, level);
    kn_json_key(&w, "event");
    kn_json_text(&w, event);
    kn_json_key(&w, "text");
    kn_json_text(&w, text);
    kn_json_object_end(&w);
}

static void emit(enum kn_log_level level, int64_t now_ms, const char *event, const char *text)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char when[KN_TIME_TEXT_BYTES];
    struct kn_buf line;
    ssize_t n;

    kn_buf_init(&line, 8 * LINE_BYTES_MAX);
    kn_time_iso8601(now_ms, when);
    if (log_format == KN_LOG_JSON)
        append_json(&line, when, names[level], event, text);
    else
        (void) kn_buf_printf(&line, "%s %-5s %s %s", when, names[level], event, text);
    (void) kn_buf_append_byte(&line, '\n');
    n = write(log_fd, line.ptr, line.len);
    (void) n; /* nobody is left to tell when this fails */
    kn_buf_done(&line);
}

void kn_log(enum kn_log_level level, const char *event, const char *fmt, ...)
{
    char text[LINE_BYTES_MAX];
    int64_t now_ms;
    unsigned suppressed;
    va_list args;

    if (!kn_log_enabled(level))
        return;
    now_ms = kn_wall_ms(kn_clock_system());
    if (!admit(event, now_ms / 1000, &suppressed))
        return;
    if (suppressed) {
        (void) snprintf(text, sizeof text, "suppressed=%u", suppressed);
        emit(level, now_ms, event, text);
    }
    va_start(args, fmt);
    (void) vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (char *p = text; *p; p++) {
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    }
    emit(level, now_ms, event, text);
}
