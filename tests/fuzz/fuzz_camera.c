/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes of cameras into the server: a URL, and what the process that talks to a camera says,
 * which repeats what the camera said. The first byte chooses.
 */
#include "camera_settings.h"
#include "camera_status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_url(struct kn_str text)
{
    struct ingest_camera_settings settings = {0};
    struct kn_err err = {0};
    if (ingest_camera_url(text, &settings, &err) < 0) {
        kn_assert(*err.text);
        return;
    }
    kn_assert(kn_str_starts_with(kn_str_from(settings.url), KN_STR("rtsp")));
    kn_assert(ingest_camera_url_shown(&settings).len > strlen("rtsp://"));
    struct ingest_camera_settings again = {0}; /* nothing more comes out of what is left */
    if (!memchr(settings.url, '@', strcspn(settings.url + 8, "/") + 8))
        kn_assert(ingest_camera_url(kn_str_from(settings.url), &again, &err) == 0 && !*again.user);
}

static void read_status(struct kn_bytes packet)
{
    char name[STORAGE_STREAM_NAME_BYTES_MAX + 1];
    struct ingest_camera_status status;
    if (ingest_camera_status_read(packet, name, &status) < 0)
        return;
    kn_assert(*name && strlen(name) <= STORAGE_STREAM_NAME_BYTES_MAX);
    kn_assert(status.track_count <= INGEST_CAMERA_TRACKS_MAX);
    kn_assert(strlen(status.said) < sizeof status.said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 'u')
        read_url((struct kn_str){(const char *) data + 1, size - 1});
    else
        read_status((struct kn_bytes){data + 1, size - 1});
    return 0;
}
