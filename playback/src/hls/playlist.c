/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Master and media playlists (RFC 8216). Parameter order, attribute order and the place of each tag
 * are those of playlists of the service; what it lacks and players miss is added where it is legal:
 * EXT-X-DISCONTINUITY-SEQUENCE in sliding playlists, EXT-X-START in a replay that has not slid yet.
 * A day has 43,200 entries, so lines are put together by hand, without printf.
 */
#include "hls/playlist.h"

/* The value's decimal digits, at least min of them, up to end; returns where they begin. */
static char *digits(char *end, uint64_t value, int min)
{
    for (; min-- > 0 || value; value /= 10)
        *--end = (char) ('0' + value % 10);
    return end;
}

static void append_seconds(struct kn_buf *out, uint32_t ms)
{
    char text[16], *end = text + sizeof text;
    char *at = digits(end, ms % 1000, 3);
    *--at = '.';
    at = digits(at, ms / 1000, 1);
    kn_buf_append(out, at, (size_t) (end - at));
}

/* The date's text is made once a minute of media; seconds and milliseconds are put into it. */
static void append_time(struct playback_playlist *p, struct kn_buf *out, int64_t wall_ms)
{
    enum {
        MINUTE_MS = 60000,
        SECONDS_AT = 17, /* in "2026-11-22T20:49:55.123Z" */
        TEXT_LEN = 24,
    };
    int64_t minute = wall_ms / MINUTE_MS;
    if (wall_ms < 0 || minute != p->minute || !p->minute_text[0])
        kn_time_iso8601(wall_ms, p->minute_text);
    p->minute = minute;
    if (wall_ms >= 0 && p->minute_text[TEXT_LEN - 1] == 'Z') {
        char *at = p->minute_text + SECONDS_AT;
        (void) digits(at + 2, (uint64_t) (wall_ms % MINUTE_MS) / 1000, 2);
        (void) digits(at + 6, (uint64_t) (wall_ms % 1000), 3);
    }
    kn_buf_append_text(out, p->minute_text);
}

static void append_uri(struct kn_buf *out, const char *resource, struct kn_str token,
                       unsigned track)
{
    kn_buf_append_text(out, resource);
    kn_buf_append_str(out, token);
    kn_buf_printf(out, "&TrackNumber=%u", track);
}

/* At most three decimals, none that are zero: as the service writes them. */
static void append_frame_rate(struct kn_buf *out, double frames_per_s)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%.3f", frames_per_s);
    while (n > 1 && text[n - 1] == '0')
        n--;
    if (text[n - 1] == '.')
        n--;
    kn_buf_append_text(out, ",FRAME-RATE=");
    kn_buf_append(out, text, (size_t) n);
}

int playback_master_write(const struct playback_master *master, struct kn_buf *out)
{
    const struct playback_tracks *tracks = master->tracks;
    bool apart = tracks->count > 1 && master->session->container == PLAYBACK_FMP4;
    const struct playback_codec_info *first = &tracks->items[0].info;
    static const char media[] = "getHLSMediaPlaylist.m3u8?SessionToken=";
    kn_buf_append_text(out, "#EXTM3U\n#EXT-X-VERSION:1\n");
    if (apart) {
        kn_buf_append_text(out, "#EXT-X-MEDIA:AUTOSELECT=YES,FORCED=NO,TYPE=AUDIO,URI=\"");
        append_uri(out, media, master->token, 2);
        kn_buf_append_text(out, "\",GROUP-ID=\"audio\",DEFAULT=NO,NAME=\"audio\"\n");
    }
    kn_buf_append_text(out, "#EXT-X-STREAM-INF:CODECS=\"");
    for (unsigned i = 0; i < tracks->count; i++)
        kn_buf_printf(out, "%s%s", i ? "," : "", tracks->items[i].info.text);
    kn_buf_append_text(out, "\"");
    if (first->codec != PLAYBACK_AAC) {
        kn_buf_printf(out, ",RESOLUTION=%ux%u", first->width, first->height);
        if (master->frames_per_s > 0)
            append_frame_rate(out, master->frames_per_s);
    }
    kn_buf_printf(out, ",BANDWIDTH=%" PRIu64 "%s\n", master->bits_per_s,
                  apart ? ",AUDIO=\"audio\"" : "");
    append_uri(out, media, master->token, 1);
    kn_buf_append_text(out, "\n");
    return out->error;
}

static bool has_gaps(const struct playback_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].flags & PLAYBACK_ENTRY_GAP)
            return true;
    return false;
}

static void write_head(const struct playback_playlist *p, struct kn_buf *out)
{
    const struct playback_list *list = p->list;
    bool mp4 = p->session->container == PLAYBACK_FMP4;
    bool sliding = p->session->mode != PLAYBACK_ON_DEMAND;
    kn_buf_printf(out, "#EXTM3U\n#EXT-X-VERSION:%d\n", has_gaps(list) ? 8 : mp4 ? 7 : 3);
    if (!sliding)
        kn_buf_append_text(out, "#EXT-X-PLAYLIST-TYPE:VOD\n");
    kn_buf_printf(out, "#EXT-X-TARGETDURATION:%u\n#EXT-X-MEDIA-SEQUENCE:%" PRIu64 "\n",
                  list->target_s, list->sequence);
    if (sliding && p->session->discontinuity != PLAYBACK_DISCONTINUITY_NEVER)
        kn_buf_printf(out, "#EXT-X-DISCONTINUITY-SEQUENCE:%" PRIu64 "\n",
                      list->discontinuity_sequence);
    kn_buf_append_text(out, "#EXT-X-INDEPENDENT-SEGMENTS\n");
    if (p->session->mode == PLAYBACK_LIVE_REPLAY && list->at_start)
        kn_buf_append_text(out, "#EXT-X-START:TIME-OFFSET=0\n");
}

static void write_map(const struct playback_playlist *p, struct kn_buf *out, uint16_t map)
{
    kn_buf_append_text(out, "#EXT-X-MAP:URI=\"");
    append_uri(out, "getMP4InitFragment.mp4?SessionToken=", p->token, p->track);
    kn_buf_printf(out, "&SequenceNumber=%" PRIu64 "\"\n", p->list->maps[map].hash);
}

static void write_segment_uri(const struct playback_playlist *p, struct kn_buf *out,
                              const struct storage_number *number)
{
    char text[STORAGE_NUMBER_TEXT_BYTES];
    storage_number_format(number, text);
    bool mp4 = p->session->container == PLAYBACK_FMP4;
    kn_buf_append_str(out, mp4 ? KN_STR("getMP4MediaFragment.mp4?FragmentNumber=")
                               : KN_STR("getTSFragment.ts?FragmentNumber="));
    kn_buf_append_text(out, text);
    kn_buf_append_str(out, KN_STR("&SessionToken="));
    kn_buf_append_str(out, p->token);
    char track[] = {'&', 'T', 'r', 'a', 'c', 'k', 'N', 'u', 'm', 'b', 'e', 'r', '=', '0', '\n'};
    track[sizeof track - 2] = (char) ('0' + p->track);
    if (mp4)
        kn_buf_append(out, track, sizeof track);
    else
        kn_buf_append_byte(out, '\n');
}

static void write_entry(struct playback_playlist *p, struct kn_buf *out, size_t at)
{
    const struct playback_entry *entry = &p->list->entries[at];
    bool mp4 = p->session->container == PLAYBACK_FMP4;
    for (unsigned i = 0; i < entry->discontinuities; i++)
        kn_buf_append_str(out, KN_STR("#EXT-X-DISCONTINUITY\n"));
    if (mp4 && (at == 0 || entry->map != p->list->entries[at - 1].map))
        write_map(p, out, entry->map);
    if (p->session->display_time) {
        kn_buf_append_str(out, KN_STR("#EXT-X-PROGRAM-DATE-TIME:"));
        append_time(p, out, entry->start_ms);
        kn_buf_append_byte(out, '\n');
    }
    if (entry->flags & PLAYBACK_ENTRY_GAP)
        kn_buf_append_str(out, KN_STR("#EXT-X-GAP\n"));
    kn_buf_append_str(out, KN_STR("#EXTINF:"));
    append_seconds(out, entry->duration_ms);
    kn_buf_append_str(out, KN_STR(",\n"));
    write_segment_uri(p, out, &entry->number);
}

int playback_playlist_write(struct playback_playlist *playlist, struct kn_buf *out, size_t stop_at)
{
    if (!playlist->head_done)
        write_head(playlist, out);
    playlist->head_done = true;
    while (playlist->at < playlist->list->count && out->len < stop_at && !out->error)
        write_entry(playlist, out, playlist->at++);
    if (playlist->at == playlist->list->count && !playlist->done) {
        if (playlist->list->ended)
            kn_buf_append_text(out, "#EXT-X-ENDLIST\n");
        playlist->done = true;
    }
    return out->error;
}
