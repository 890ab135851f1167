/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout and attributes as third parties read them in manifests of the service: SegmentTemplate
 * under AdaptationSet, $Number$, one S a fragment without @r. All times are milliseconds. A Period
 * of a sliding window keeps id, start and offset while its first fragments leave it: they are
 * counted from the session's first fragment (session/list.h).
 */
#include "dash/manifest.h"

#include "core/clock.h"

enum state {
    STATE_HEAD,
    STATE_PERIOD,
    STATE_SET,
    STATE_ENTRIES,
    STATE_DONE,
};

enum {
    ENTRIES_A_STEP = 128, /* of at most 200 bytes each */
    DELAY_FRAGMENTS = 3,  /* a player starts so many from the end of LIVE */
};

/* A set of codec parameters, as adaptation sets say it. */
struct playback_manifest_kind {
    unsigned count; /* of tracks; 0: none that we can play */
    struct {
        struct playback_codec_info info; /* without config, which lies in the header */
        uint64_t bits_per_s;
    } tracks[PLAYBACK_TRACKS_MAX];
};

/* --- what is in it ---------------------------------------------------------------------------- */

static int look_up(struct playback *playback, const struct playback_session *session,
                   const struct playback_map *map, struct playback_manifest_kind *ret, bool nowait)
{
    struct playback_view view;
    struct storage_frames *frames;
    int r = playback_view_get(playback, session, &map->fragment, &view, NULL, nowait);
    if (r < 0)
        return r;
    r = storage_frames_get(playback->storage, &session->stream, &map->fragment, &frames, nowait);
    for (unsigned i = 0; r == 0 && i < view.tracks.count; i++) {
        const struct playback_track *track = &view.tracks.items[i];
        uint64_t bytes = 0;
        for (size_t k = 0; k < frames->count; k++)
            bytes += frames->items[k].track == track->mkv_number ? frames->items[k].bytes : 0;
        ret->tracks[i].info = track->info;
        ret->tracks[i].info.config = (struct kn_bytes){0};
        ret->tracks[i].bits_per_s = kn_max_u64(bytes * 8000 / playback_duration_ms(&map->fragment),
                                               1); /* estimated, as in HLS */
        ret->count = i + 1;
    }
    if (r == 0)
        storage_frames_free(frames);
    playback_view_done(&view);
    return r;
}

int playback_manifest_init(struct playback_manifest *manifest, struct playback *playback,
                           const struct playback_session *session, const struct playback_list *list,
                           struct kn_str token, bool nowait)
{
    *manifest = (struct playback_manifest){.session = session,
                                           .list = list,
                                           .token = token,
                                           .now_ms = kn_wall_ms(playback->clock),
                                           .line = list->line,
                                           .id = list->discontinuity_sequence};
    manifest->kinds = calloc(list->map_count + 1, sizeof manifest->kinds[0]);
    if (!manifest->kinds)
        return -ENOMEM;
    for (size_t i = 0; i < list->map_count; i++) {
        int r = list->maps[i].hash
                    ? look_up(playback, session, &list->maps[i], &manifest->kinds[i], nowait)
                    : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

void playback_manifest_done(struct playback_manifest *manifest)
{
    free(manifest->kinds);
    manifest->kinds = NULL;
}

/* --- its head --------------------------------------------------------------------------------- */

static void append_duration(struct kn_buf *out, const char *name, int64_t ms)
{
    ms = kn_max_i64(ms, 0);
    kn_buf_printf(out, " %s=\"PT%" PRId64 ".%03dS\"", name, ms / 1000, (int) (ms % 1000));
}

static void append_time(struct kn_buf *out, const char *name, int64_t wall_ms)
{
    char text[KN_TIME_TEXT_BYTES];
    kn_time_iso8601(wall_ms, text);
    kn_buf_printf(out, " %s=\"%s\"", name, text);
}

/* Where the listed media begin and end in the presentation, and the longest fragment. */
static void measure(const struct playback_manifest *m, int64_t *ret_from_ms, int64_t *ret_to_ms,
                    int64_t *ret_longest_ms)
{
    struct playback_line line = m->line;
    *ret_from_ms = *ret_to_ms = 0;
    *ret_longest_ms = 1;
    for (size_t i = 0; i < m->list->count; i++) {
        const struct playback_entry *entry = &m->list->entries[i];
        playback_line_pass(&line, m->session, entry);
        if (i == 0)
            *ret_from_ms = line.start_ms + entry->start_ms - line.media_ms;
        *ret_longest_ms = kn_max_i64(*ret_longest_ms, entry->duration_ms);
        *ret_to_ms = line.start_ms + line.end_ms - line.media_ms;
    }
}

static void append_head(const struct playback_manifest *m, struct kn_buf *out)
{
    const struct playback_session *s = m->session;
    int64_t from_ms, to_ms, longest_ms;
    measure(m, &from_ms, &to_ms, &longest_ms);
    kn_buf_append_text(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                            "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" "
                            "xmlns:kvs=\"urn:amazon:kinesisvideo\" "
                            "profiles=\"urn:mpeg:dash:profile:isoff-live:2011\"");
    kn_buf_printf(out, " type=\"%s\"", s->mode == PLAYBACK_ON_DEMAND ? "static" : "dynamic");
    append_time(out, "availabilityStartTime", s->base_ms);
    append_duration(out, "minBufferTime", longest_ms);
    append_duration(out, "maxSegmentDuration", longest_ms);
    if (s->mode == PLAYBACK_ON_DEMAND || m->list->ended)
        append_duration(out, "mediaPresentationDuration", to_ms);
    if (s->mode == PLAYBACK_ON_DEMAND) {
        kn_buf_append_text(out, ">\n");
        return;
    }
    append_time(out, "publishTime", m->now_ms);
    if (!m->list->ended)
        append_duration(out, "minimumUpdatePeriod", 1000);
    append_duration(out, "timeShiftBufferDepth", to_ms - from_ms);
    int64_t delay_ms = kn_min_i64(DELAY_FRAGMENTS * longest_ms, to_ms - from_ms);
    if (s->mode == PLAYBACK_LIVE_REPLAY) /* it begins at its beginning, as long as that is listed */
        delay_ms = m->list->at_start ? m->now_ms - s->base_ms : s->opened_ms - s->base_ms;
    append_duration(out, "suggestedPresentationDelay", delay_ms);
    kn_buf_append_text(out, ">\n");
}

/* The schema wants it behind the Periods. */
static void append_end(const struct playback_manifest *m, struct kn_buf *out)
{
    if (m->session->mode != PLAYBACK_ON_DEMAND) {
        kn_buf_append_text(out, "<UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\"");
        append_time(out, "value", m->now_ms);
        kn_buf_append_text(out, "/>\n");
    }
    kn_buf_append_text(out, "</MPD>\n");
}

/* --- Periods ---------------------------------------------------------------------------------- */

static const struct playback_manifest_kind *kind_of(const struct playback_manifest *m, size_t at)
{
    static const struct playback_manifest_kind none;
    const struct playback_entry *entry = &m->list->entries[at];
    return entry->flags & PLAYBACK_ENTRY_ALIEN ? &none : &m->kinds[entry->map];
}

/* The next Period that can be played becomes [begin, end); false: there is none. */
static bool next_period(struct playback_manifest *m, struct playback_line *ret_line,
                        uint64_t *ret_duration_ms)
{
    const struct playback_list *list = m->list;
    while (m->end < list->count) {
        m->begin = m->end;
        m->id += list->entries[m->begin].discontinuities;
        playback_line_pass(&m->line, m->session, &list->entries[m->end++]);
        *ret_line = m->line;
        while (m->end < list->count && !list->entries[m->end].discontinuities)
            playback_line_pass(&m->line, m->session, &list->entries[m->end++]);
        *ret_duration_ms = (uint64_t) (m->line.end_ms - m->line.media_ms);
        if (kind_of(m, m->begin)->count)
            return true;
    }
    return false;
}

static void append_period(struct playback_manifest *m, struct kn_buf *out)
{
    struct playback_line line;
    uint64_t duration_ms;
    if (!next_period(m, &line, &duration_ms)) {
        append_end(m, out);
        m->state = STATE_DONE;
        return;
    }
    kn_buf_printf(out, "<Period id=\"%" PRIu64 "\"", m->id);
    append_duration(out, "start", line.start_ms);
    if (m->session->mode == PLAYBACK_ON_DEMAND)
        append_duration(out, "duration", (int64_t) duration_ms);
    kn_buf_append_text(out, ">\n");
    m->set = 0;
    m->state = STATE_SET;
}

static void append_address(const struct playback_manifest *m, struct kn_buf *out,
                           const char *resource)
{
    kn_buf_append_text(out, resource);
    kn_buf_append_text(out, "?");
    if (m->token.len)
        kn_buf_printf(out, "SessionToken=" KN_STR_FMT "&amp;", KN_STR_ARG(m->token));
    kn_buf_printf(out, "TrackNumber=%u&amp;SequenceNumber=", m->set + 1);
}

static void append_set(struct playback_manifest *m, struct kn_buf *out)
{
    const struct playback_manifest_kind *kind = kind_of(m, m->begin);
    const struct playback_entry *first = &m->list->entries[m->begin];
    if (m->set == kind->count) {
        kn_buf_append_text(out, "</Period>\n");
        m->state = STATE_PERIOD;
        return;
    }
    bool audio = playback_codec_is_audio(kind->tracks[m->set].info.codec);
    const char *content = audio ? "audio" : "video";
    kn_buf_printf(out,
                  "<AdaptationSet id=\"%u\" contentType=\"%s\" mimeType=\"%s/mp4\" "
                  "segmentAlignment=\"true\" startWithSAP=\"1\">\n"
                  "<SegmentTemplate timescale=\"1000\" presentationTimeOffset=\"%" PRId64 "\"",
                  m->set + 1, content, content, m->line.media_ms);
    kn_buf_append_text(out, " initialization=\"");
    append_address(m, out, "getMP4InitFragment.mp4");
    kn_buf_printf(out, "%" PRIu64 "\" media=\"", m->list->maps[first->map].hash);
    append_address(m, out, "getMP4MediaFragment.mp4");
    kn_buf_printf(out, "$Number$\" startNumber=\"%" PRIu64 "\">\n<SegmentTimeline>\n",
                  first->ordinal - m->session->base_ordinal + 1);
    m->at = m->begin;
    m->state = STATE_ENTRIES;
}

static void append_representation(const struct playback_manifest *m, struct kn_buf *out)
{
    const struct playback_manifest_kind *kind = kind_of(m, m->begin);
    const struct playback_codec_info *info = &kind->tracks[m->set].info;
    kn_buf_printf(out, "<Representation id=\"%u\" codecs=\"%s\" bandwidth=\"%" PRIu64 "\"",
                  m->set + 1, info->text, kind->tracks[m->set].bits_per_s);
    if (playback_codec_is_audio(info->codec))
        kn_buf_printf(out,
                      " audioSamplingRate=\"%" PRIu32 "\">\n<AudioChannelConfiguration "
                      "schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" "
                      "value=\"%" PRIu32 "\"/>\n</Representation>\n",
                      info->sample_hz, info->channels);
    else
        kn_buf_printf(out, " width=\"%" PRIu32 "\" height=\"%" PRIu32 "\"/>\n", info->width,
                      info->height);
}

/* kvs:ts and kvs:fn say of each S what the timeline does not: see docs/protocols/dash.md. */
static void append_entry(const struct playback_manifest *m, struct kn_buf *out,
                         const struct playback_entry *entry)
{
    kn_buf_printf(out, "<S t=\"%" PRId64 "\" d=\"%" PRIu32 "\"", entry->start_ms,
                  entry->duration_ms);
    if (m->session->display_time) {
        int64_t ms = m->session->clock == PLAYBACK_SERVER_CLOCK ? entry->number.server_ts_ms
                                                                : entry->start_ms;
        ms = kn_max_i64(ms, 0);
        kn_buf_printf(out, " kvs:ts=\"%" PRId64 ".%03d\"", ms / 1000, (int) (ms % 1000));
    }
    if (m->session->display_number) {
        char number[STORAGE_NUMBER_TEXT_BYTES];
        storage_number_format(&entry->number, number);
        kn_buf_printf(out, " kvs:fn=\"%s\"", number);
    }
    kn_buf_append_text(out, "/>\n");
}

static void append_entries(struct playback_manifest *m, struct kn_buf *out)
{
    for (unsigned i = 0; i < ENTRIES_A_STEP && m->at < m->end; i++)
        append_entry(m, out, &m->list->entries[m->at++]);
    if (m->at < m->end)
        return;
    kn_buf_append_text(out, "</SegmentTimeline>\n</SegmentTemplate>\n");
    append_representation(m, out);
    kn_buf_append_text(out, "</AdaptationSet>\n");
    m->set++;
    m->state = STATE_SET;
}

bool playback_manifest_step(struct playback_manifest *manifest, struct kn_buf *out)
{
    switch ((enum state) manifest->state) {
    case STATE_HEAD:
        append_head(manifest, out);
        manifest->state = STATE_PERIOD;
        break;
    case STATE_PERIOD:
        append_period(manifest, out);
        break;
    case STATE_SET:
        append_set(manifest, out);
        break;
    case STATE_ENTRIES:
        append_entries(manifest, out);
        break;
    case STATE_DONE:
        break;
    }
    return manifest->state != STATE_DONE && !out->error;
}
