/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes of cameras into the server: a URL, a schedule, and what the process that talks to a
 * camera says, which repeats what the camera said. The first byte chooses.
 */
#include "camera_settings.h"
#include "camera_status.h"
#include "schedule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_url(struct kn_str text)
{
    struct ingest_camera_source settings = {0};
    struct kn_err err = {0};
    if (ingest_camera_url(text, "/srv", &settings, &err) < 0) {
        kn_assert(*err.text);
        return;
    }
    if (ingest_camera_is_file(&settings)) {
        kn_assert(kn_str_starts_with(kn_str_from(settings.url), KN_STR("file:///")));
        kn_assert(!strstr(settings.url, "/../") && !*settings.user);
        return;
    }
    kn_assert(kn_str_starts_with(kn_str_from(settings.url), KN_STR("rtsp")));
    kn_assert(ingest_camera_url_shown(&settings).len > strlen("rtsp://"));
    struct ingest_camera_source again = {0}; /* nothing more comes out of what is left */
    if (!memchr(settings.url, '@', strcspn(settings.url + 8, "/") + 8))
        kn_assert(ingest_camera_url(kn_str_from(settings.url), NULL, &again, &err) == 0 &&
                  !*again.user);
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

/* The windows that come next follow each other, and each is open where it begins. */
static void read_schedule(struct kn_str text)
{
    struct ingest_schedule schedule;
    struct kn_err err = {0};
    int64_t at_s = INT64_C(1795824000), until_s;
    if (ingest_schedule_parse(text, 60, &schedule, &err) < 0) {
        kn_assert(*err.text);
        return;
    }
    for (size_t i = 0; i < 8; i++) {
        int64_t start_s = ingest_schedule_next(&schedule, at_s);
        kn_assert(start_s >= at_s);
        if (start_s == INT64_MAX)
            return;
        kn_assert(ingest_schedule_next(&schedule, start_s) == start_s);
        kn_assert(ingest_schedule_open(&schedule, start_s, &until_s));
        kn_assert(until_s > start_s && until_s <= start_s + 60);
        at_s = start_s + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 'u')
        read_url((struct kn_str){(const char *) data + 1, size - 1});
    else if (data[0] == 's')
        read_schedule((struct kn_str){(const char *) data + 1, size - 1});
    else
        read_status((struct kn_bytes){data + 1, size - 1});
    return 0;
}
