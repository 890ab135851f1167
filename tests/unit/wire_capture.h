/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request transcripts under media/captures/wire: what AWS's producers sent, as text. A request
 * is a line "… conn 4 req 1 POST /putMedia HTTP/1.1", header lines, and perhaps "BODY " with \n and
 * \t written out; "SIG-OK" ends it.
 */
#ifndef TESTS_UNIT_WIRE_CAPTURE_H
#define TESTS_UNIT_WIRE_CAPTURE_H

#include "test.h"

#include <dirent.h>

#include "core/sigv4.h"

enum {
    WIRE_HEADERS_MAX = 32,
    WIRE_TEXT_BYTES_MAX = 1 << 16
};

struct wire_request {
    struct kn_sigv4_request req;
    struct kn_sigv4_header headers[WIRE_HEADERS_MAX];
    char body[4096];
};
typedef void wire_request_fn(struct wire_request *wire, void *ctx);

static inline struct kn_str wire_payload_of_line(struct kn_str line) /* behind the time stamp */
{
    struct kn_str stamp, rest = line;
    while (rest.len && rest.ptr[0] == ' ')
        rest = (struct kn_str){rest.ptr + 1, rest.len - 1};
    return kn_str_cut(rest, ' ', &stamp);
}

static inline size_t wire_unescape(struct kn_str s, char *dst, size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '\\' && i + 1 < s.len)
            c = s.ptr[++i] == 'n' ? '\n' : s.ptr[i] == 't' ? '\t' : s.ptr[i];
        assert_true(len < cap);
        dst[len++] = c;
    }
    return len;
}

/* One line of a request; true when it was the last. */
static inline bool wire_read_line(struct wire_request *wire, struct kn_str text)
{
    struct kn_str name, value;
    if (kn_str_starts_with(text, KN_STR("SIG-OK")))
        return true;
    if (kn_str_starts_with(text, KN_STR("BODY "))) {
        text = (struct kn_str){text.ptr + 5, text.len - 5};
        wire->req.body = (struct kn_bytes){(const uint8_t *) wire->body,
                                           wire_unescape(text, wire->body, sizeof wire->body)};
        return false;
    }
    value = kn_str_cut(text, ':', &name);
    assert_non_null(value.ptr);
    assert_true(wire->req.header_count < WIRE_HEADERS_MAX);
    wire->headers[wire->req.header_count++] = (struct kn_sigv4_header){name, kn_str_trim(value)};
    return false;
}

static inline void wire_start(struct wire_request *wire, struct kn_str line)
{
    struct kn_str rest = line, word;
    for (int i = 0; i < 4; i++) /* conn N req N */
        rest = kn_str_cut(rest, ' ', &word);
    *wire = (struct wire_request){0};
    wire->req.headers = wire->headers;
    rest = kn_str_cut(rest, ' ', &wire->req.method);
    (void) kn_str_cut(rest, ' ', &wire->req.path);
    wire->req.body_unread = kn_str_eq(wire->req.path, KN_STR("/putMedia"));
}

static inline size_t wire_each_in_text(struct kn_str text, wire_request_fn *each, void *ctx)
{
    static struct wire_request wire;
    struct kn_str rest = text, line;
    bool open = false;
    size_t count = 0;
    while (rest.ptr) {
        rest = kn_str_cut(rest, '\n', &line);
        struct kn_str payload = wire_payload_of_line(line);
        bool starts = kn_str_starts_with(payload, KN_STR("conn ")) &&
                      kn_str_ends_with(payload, KN_STR(" HTTP/1.1"));
        if (starts) {
            wire_start(&wire, payload);
            open = true;
        } else if (open && payload.len && payload.ptr[0] == ' ' && /* not of another connection */
                   wire_read_line(&wire, kn_str_trim(payload))) {
            open = false;
            count++;
            each(&wire, ctx);
        }
    }
    return count;
}

/* All requests of all transcripts; returns how many. Skips the test when the media is not there. */
static inline size_t wire_each(wire_request_fn *each, void *ctx)
{
    char dir[512], path[1024];
    static char text[WIRE_TEXT_BYTES_MAX];
    const char *shared = getenv("KINEMA_SHARED");
    size_t count = 0;
    (void) snprintf(dir, sizeof dir, "%s/media/captures/wire", shared ? shared : "../shared");
    DIR *d = opendir(dir);
    if (!d)
        skip();
    for (struct dirent *entry; (entry = readdir(d));) {
        if (entry->d_name[0] == '.')
            continue;
        (void) snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        size_t len = fread(text, 1, sizeof text, file);
        assert_true(len < sizeof text);
        (void) fclose(file);
        count += wire_each_in_text((struct kn_str){text, len}, each, ctx);
    }
    (void) closedir(d);
    return count;
}

#endif
