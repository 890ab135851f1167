/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured logs: one line an event, `time level event key=value …`, to standard error (or the
 * given descriptor). The event is a fixed word one can grep and count. Libraries return errors;
 * the caller that gives up logs once. Foreign text goes through KN_LOG_QUOTE. Any thread.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include "core/bytes.h"

enum kn_log_level {
    KN_LOG_DEBUG,
    KN_LOG_INFO,
    KN_LOG_WARN,
    KN_LOG_ERROR
};
enum kn_log_format {
    KN_LOG_TEXT,
    KN_LOG_JSON
};

void kn_log_setup(int fd, enum kn_log_level least, enum kn_log_format format);
bool kn_log_enabled(enum kn_log_level level);

/* Values that may hold blanks, quotes or foreign text are written as "key=" KN_LOG_QUOTED with
 * kn_log_quote(): the text between quotes, control bytes and quotes escaped, cut at 200 bytes. */
#define KN_LOG_QUOTED "%s"
struct kn_log_quoted {
    char text[256];
};
struct kn_log_quoted kn_log_quote_text(struct kn_str s);
#define kn_log_quote(s) (kn_log_quote_text(s).text)

/* At most 20 lines a second and event, then one line "suppressed=n". */
void kn_log(enum kn_log_level level, const char *event, const char *fmt, ...) KN_PRINTF(3, 4);

#define kn_log_debug(event, ...)                                                                   \
    (kn_log_enabled(KN_LOG_DEBUG) ? kn_log(KN_LOG_DEBUG, event, __VA_ARGS__) : (void) 0)
#define kn_log_info(event, ...)  kn_log(KN_LOG_INFO, event, __VA_ARGS__)
#define kn_log_warn(event, ...)  kn_log(KN_LOG_WARN, event, __VA_ARGS__)
#define kn_log_error(event, ...) kn_log(KN_LOG_ERROR, event, __VA_ARGS__)

#endif
