/* SPDX-License-Identifier: Apache-2.0 */
#include "camera_order.h"

static void write_text(struct kn_json_writer *w, const char *key, const char *text)
{
    kn_json_key(w, key);
    kn_json_text(w, text);
}

void ingest_camera_order_write(struct kn_json_writer *w,
                               const struct ingest_camera_order_conf *conf, const char *stream,
                               const struct ingest_camera_source *source)
{
    kn_json_object_begin(w);
    write_text(w, "camera", stream);
    write_text(w, "url", source->url);
    write_text(w, "user", source->user);
    write_text(w, "password", source->password);
    write_text(w, "transport", ingest_camera_transport_name(source->transport));
    write_text(w, "tls", source->tls == INGEST_CAMERA_TLS_VERIFY ? "verify" : "insecure");
    if (conf->ca_file)
        write_text(w, "caFile", conf->ca_file);
    if (conf->files)
        write_text(w, "files", conf->files);
    kn_json_key(w, "latencyMs");
    kn_json_u64(w, conf->latency_ms);
    kn_json_key(w, "timeoutMs");
    kn_json_u64(w, conf->timeout_ms);
    kn_json_object_end(w);
}

void ingest_camera_order_write_drop(struct kn_json_writer *w, const char *stream)
{
    kn_json_object_begin(w);
    write_text(w, "drop", stream);
    kn_json_object_end(w);
}
