/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of a fragment's event. Nothing is decoded: codecs and sizes are what the track header
 * says, key frames are those of the frame table. */
#include "fragment_event.h"

#include "core/json.h"

static void text_member(struct kn_json_writer *w, const char *key, struct kn_str value)
{
    kn_json_key(w, key);
    kn_json_str(w, value);
}

static void number_member(struct kn_json_writer *w, const char *key, int64_t value)
{
    kn_json_key(w, key);
    kn_json_i64(w, value);
}

/* --- tracks ----------------------------------------------------------------------------------- */
static const struct {
    const char *id, *name;
} codecs[] = {
    {"V_MPEG4/ISO/AVC",  "h264" },
    {"V_MPEGH/ISO/HEVC", "h265" },
    {"V_VP8",            "vp8"  },
    {"V_VP9",            "vp9"  },
    {"V_AV1",            "av1"  },
    {"V_MJPEG",          "mjpeg"},
    {"A_AAC",            "aac"  },
    {"A_OPUS",           "opus" },
    {"A_PCM/INT/LIT",    "pcm"  },
};

static const char *codec_of(const char *id)
{
    for (size_t i = 0; i < KN_ARRAY_LEN(codecs); i++) {
        if (strcmp(codecs[i].id, id) == 0)
            return codecs[i].name;
    }
    return NULL;
}

static size_t frames_of(const struct storage_frames *frames, uint64_t track)
{
    size_t count = 0;
    for (size_t i = 0; i < frames->count; i++)
        count += frames->items[i].track == track;
    return count;
}

static void write_track(struct kn_json_writer *w, const struct kn_mkv_track *track,
                        const struct storage_frames *frames)
{
    static const char *const types[] = {
        [KN_MKV_VIDEO] = "video", [KN_MKV_AUDIO] = "audio", [KN_MKV_OTHER] = "other"};
    kn_json_object_begin(w);
    kn_json_key(w, "number");
    kn_json_u64(w, track->number);
    kn_json_key(w, "type");
    kn_json_text(w, types[track->type]);
    kn_json_key(w, "codec");
    kn_json_text(w, codec_of(track->codec_id));
    kn_json_key(w, "codecId");
    kn_json_text(w, track->codec_id);
    if (track->type == KN_MKV_VIDEO && track->pixel_width > 0 && track->pixel_height > 0) {
        number_member(w, "width", track->pixel_width);
        number_member(w, "height", track->pixel_height);
    }
    if (track->type == KN_MKV_AUDIO && track->sampling_hz > 0)
        number_member(w, "sampleHz", (int64_t) track->sampling_hz);
    if (track->type == KN_MKV_AUDIO && track->channels > 0)
        number_member(w, "channels", track->channels);
    if (frames)
        number_member(w, "frameCount", (int64_t) frames_of(frames, track->number));
    kn_json_object_end(w);
}

static void write_tracks(struct kn_json_writer *w, const struct datastream_fragment_event *event)
{
    kn_json_key(w, "tracks");
    kn_json_array_begin(w);
    for (unsigned i = 0; event->header && i < event->header->track_count; i++)
        write_track(w, &event->header->tracks[i], event->frames);
    kn_json_array_end(w);
}

/* --- key frames ------------------------------------------------------------------------------- */
/* Frames of audio are all marked as keys, which says nothing. */
static bool is_video(const struct kn_mkv_header *header, uint8_t number)
{
    for (unsigned i = 0; i < header->track_count; i++) {
        if (header->tracks[i].number == number)
            return header->tracks[i].type == KN_MKV_VIDEO;
    }
    return false;
}

static void write_key_frame(struct kn_json_writer *w, const struct storage_frame *frame,
                            size_t index, uint64_t scale_ns)
{
    int64_t time_ms = (int64_t) ((double) frame->time * (double) scale_ns / 1e6);
    kn_json_object_begin(w);
    number_member(w, "track", frame->track);
    number_member(w, "frame", (int64_t) index);
    number_member(w, "timeMs", time_ms);
    number_member(w, "offset", frame->offset);
    number_member(w, "bytes", frame->bytes);
    kn_json_object_end(w);
}

static void write_key_frames(struct kn_json_writer *w,
                             const struct datastream_fragment_event *event)
{
    size_t count = 0;
    kn_json_key(w, "keyFrames");
    kn_json_array_begin(w);
    for (size_t i = 0; event->header && event->frames && i < event->frames->count; i++) {
        const struct storage_frame *frame = &event->frames->items[i];
        if (!frame->key || !is_video(event->header, frame->track))
            continue;
        if (count++ < DATASTREAM_EVENT_KEY_FRAMES_MAX)
            write_key_frame(w, frame, i, event->header->timestamp_scale_ns);
    }
    kn_json_array_end(w);
    if (count > DATASTREAM_EVENT_KEY_FRAMES_MAX)
        number_member(w, "keyFramesLeftOut", (int64_t) count - DATASTREAM_EVENT_KEY_FRAMES_MAX);
}

/* --- links ------------------------------------------------------------------------------------ */
static void link_begin(struct kn_json_writer *w, const char *name, const char *path,
                       struct kn_str stream)
{
    kn_json_key(w, name);
    kn_json_object_begin(w);
    kn_json_key(w, "path");
    kn_json_text(w, path);
    kn_json_key(w, "body");
    kn_json_object_begin(w);
    text_member(w, "StreamName", stream);
}

static void link_end(struct kn_json_writer *w)
{
    kn_json_object_end(w);
    kn_json_object_end(w);
}

static void write_hls_range(struct kn_json_writer *w, const struct storage_fragment *fragment)
{
    kn_json_key(w, "HLSFragmentSelector");
    kn_json_object_begin(w);
    text_member(w, "FragmentSelectorType", KN_STR("SERVER_TIMESTAMP"));
    kn_json_key(w, "TimestampRange");
    kn_json_object_begin(w);
    kn_json_key(w, "StartTimestamp");
    kn_json_epoch_ms(w, fragment->number.server_ts_ms);
    kn_json_key(w,
                "EndTimestamp"); /* a second later: boto3 sends whole ones, and they must differ */
    kn_json_epoch_ms(w, fragment->number.server_ts_ms + 1000);
    kn_json_object_end(w);
    kn_json_object_end(w);
}

static void write_links(struct kn_json_writer *w, const struct datastream_fragment_event *event,
                        struct kn_str number)
{
    kn_json_key(w, "links");
    kn_json_object_begin(w);
    kn_json_key(w, "endpoint");
    kn_json_text(w, event->endpoint);
    link_begin(w, "getMediaForFragmentList", "/getMediaForFragmentList", event->stream_name);
    kn_json_key(w, "Fragments");
    kn_json_array_begin(w);
    kn_json_str(w, number);
    kn_json_array_end(w);
    link_end(w);
    link_begin(w, "getHLSStreamingSessionURL", "/getHLSStreamingSessionURL", event->stream_name);
    text_member(w, "PlaybackMode", KN_STR("ON_DEMAND"));
    write_hls_range(w, event->fragment);
    link_end(w);
    kn_json_object_end(w);
}

/* --- all of it -------------------------------------------------------------------------------- */
static void write_tags(struct kn_json_writer *w, const struct datastream_fragment_event *event)
{
    kn_json_key(w, "tags");
    kn_json_array_begin(w);
    for (size_t i = 0; i < event->tag_count; i++) {
        kn_json_object_begin(w);
        text_member(w, "name", event->tags[i].name);
        text_member(w, "value", event->tags[i].value);
        kn_json_object_end(w);
    }
    kn_json_array_end(w);
}

void datastream_fragment_event_write(const struct datastream_fragment_event *event,
                                     struct kn_buf *out)
{
    const struct storage_fragment *fragment = event->fragment;
    char number[STORAGE_NUMBER_TEXT_BYTES];
    storage_number_format(&fragment->number, number);
    struct kn_json_writer w;
    kn_json_writer_init(&w, out);
    kn_json_object_begin(&w);
    text_member(&w, "type", KN_STR("kinema.fragment"));
    number_member(&w, "version", DATASTREAM_EVENT_VERSION);
    text_member(&w, "streamName", event->stream_name);
    text_member(&w, "streamArn", event->stream_arn);
    text_member(&w, "fragmentNumber", kn_str_from(number));
    kn_json_key(&w, "ordinal");
    kn_json_u64(&w, fragment->ordinal);
    kn_json_key(&w, "discontinuity");
    kn_json_bool(&w, fragment->flags & STORAGE_FRAGMENT_DISCONTINUITY);
    number_member(&w, "producerTimestampMs", fragment->producer_ts_ms);
    number_member(&w, "serverTimestampMs", fragment->number.server_ts_ms);
    number_member(&w, "durationMs", fragment->full_duration_ms);
    kn_json_key(&w, "bytes");
    kn_json_u64(&w, fragment->bytes);
    number_member(&w, "frameCount", fragment->frame_count);
    write_tracks(&w, event);
    write_key_frames(&w, event);
    write_tags(&w, event);
    write_links(&w, event, kn_str_from(number));
    kn_json_object_end(&w);
}

/* --- a fragment's tags ------------------------------------------------------------------------ */
static bool is_own(const struct kn_mkv_tag *tag)
{
    return !kn_str_starts_with(tag->name, KN_STR("AWS_KINESISVIDEO_"));
}

void datastream_fragment_tags(struct kn_bytes bytes, struct kn_mkv_tag *tags, size_t cap,
                              size_t *count)
{
    struct kn_mkv_element element;
    while (kn_mkv_element_read(bytes, &element) == 0 && element.size < bytes.len &&
           element.size + element.head_bytes <= bytes.len) {
        size_t whole = element.head_bytes + (size_t) element.size;
        struct kn_mkv_tags found = {.items = tags + *count, .cap = cap - *count};
        if (element.id == KN_MKV_TAGS &&
            kn_mkv_tags_parse((struct kn_bytes){bytes.ptr, whole}, &found, NULL) == 0 &&
            !found.targeted) {
            size_t seen = (size_t) kn_min_u64(found.count, found.cap), kept = 0;
            for (size_t i = 0; i < seen; i++) {
                if (is_own(&found.items[i]))
                    found.items[kept++] = found.items[i];
            }
            *count += kept;
        }
        bytes.ptr += whole;
        bytes.len -= whole;
    }
}
