/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"

#include "rtp.h"

static const char metadata_media[] = "application";

struct camera_documents {
    struct camera_rtp rtp;
    GstBuffer *made; /* by the packet that is being taken */
    uint64_t damaged;
};

static const char *encoding_of(const GstStructure *rtp)
{
    return gst_structure_get_string(rtp, "encoding-name");
}

bool camera_documents_are_of(const GstStructure *rtp)
{
    const char *media = gst_structure_get_string(rtp, "media");
    return media && encoding_of(rtp) && !strcmp(media, metadata_media) &&
           !g_ascii_strcasecmp(encoding_of(rtp), CAMERA_METADATA_ENCODING);
}

static void on_described(void *ctx)
{
    (void) ctx;
}

static void on_document(void *ctx, uint32_t time, bool key, struct kn_bytes bytes)
{
    struct camera_documents *d = ctx;
    (void) time;
    (void) key;
    gst_clear_buffer(&d->made);
    d->made = gst_buffer_new_memdup(bytes.ptr, bytes.len);
}

struct camera_documents *camera_documents_new(const GstStructure *rtp)
{
    static const struct camera_rtp_ops ops = {on_described, on_document};
    struct camera_documents *d = g_new0(struct camera_documents, 1);
    gint payload = 0, hz = 0;
    (void) gst_structure_get_int(rtp, "payload", &payload);
    (void) gst_structure_get_int(rtp, "clock-rate", &hz);
    const struct camera_media media = {.media = kn_str_from(metadata_media),
                                       .encoding = KN_STR(CAMERA_METADATA_ENCODING),
                                       .payload_type = (unsigned) MAX(payload, 0),
                                       .hz = (unsigned) MAX(hz, 0)};
    if (camera_rtp_init(&d->rtp, &media, &ops, d) == 0)
        return d;
    g_free(d);
    return NULL;
}

struct kn_mkv_track camera_documents_track(const struct camera_documents *d)
{
    return d->rtp.track;
}

GstSample *camera_documents_take(struct camera_documents *d, GstSample *packet)
{
    GstBuffer *buffer = gst_sample_get_buffer(packet);
    GstSample *sample = NULL;
    GstMapInfo map;
    if (buffer && gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        camera_rtp_packet(&d->rtp, (struct kn_bytes){map.data, map.size});
        gst_buffer_unmap(buffer, &map);
    }
    __atomic_store_n(&d->damaged, d->rtp.damaged, __ATOMIC_RELAXED);
    if (d->made) {
        GST_BUFFER_PTS(d->made) = GST_BUFFER_PTS(buffer);
        sample = gst_sample_new(d->made, NULL, gst_sample_get_segment(packet), NULL);
        gst_clear_buffer(&d->made);
    }
    gst_sample_unref(packet);
    return sample;
}

uint64_t camera_documents_damaged(const struct camera_documents *d)
{
    return __atomic_load_n(&d->damaged, __ATOMIC_RELAXED);
}

void camera_documents_free(struct camera_documents *d)
{
    if (!d)
        return;
    gst_clear_buffer(&d->made);
    camera_rtp_done(&d->rtp);
    g_free(d);
}
