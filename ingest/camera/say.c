/* SPDX-License-Identifier: Apache-2.0 */
#include "say.h"

#include <sys/socket.h>
#include <unistd.h>

#include "core/json.h"

enum {
    PACKET_BYTES_MAX = 8 << 10
};

static void text(struct kn_json_writer *w, const char *key, const char *value)
{
    kn_json_key(w, key);
    if (value && g_utf8_validate(value, -1, NULL))
        kn_json_text(w, value);
    else
        kn_json_text(w, value ? "?" : NULL);
}

static void send_packet(struct kn_buf *out)
{
    if (out->error == 0)
        (void) !send(STDIN_FILENO, out->ptr, out->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    kn_buf_done(out);
}

void camera_say(const char *event, const char *stream, const char *address, const char *key,
                const char *said)
{
    struct kn_buf out;
    struct kn_json_writer w;
    kn_buf_init(&out, PACKET_BYTES_MAX);
    kn_json_writer_init(&w, &out);
    kn_json_object_begin(&w);
    text(&w, "event", event);
    text(&w, "stream", stream);
    text(&w, "peer", address);
    text(&w, "key", key);
    text(&w, "said", said);
    kn_json_object_end(&w);
    send_packet(&out);
}

void camera_say_counts(const struct camera_counts *counts)
{
    struct kn_buf out;
    struct kn_json_writer w;
    kn_buf_init(&out, PACKET_BYTES_MAX);
    kn_json_writer_init(&w, &out);
    kn_json_object_begin(&w);
    kn_json_key(&w, "connections");
    kn_json_u64(&w, counts->connections);
    kn_json_key(&w, "pushes");
    kn_json_u64(&w, counts->pushes);
    kn_json_key(&w, "viewers");
    kn_json_u64(&w, counts->viewers);
    kn_json_object_end(&w);
    send_packet(&out);
}
