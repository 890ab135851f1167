/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Master and media playlists (RFC 8216). Parameter order, attribute order and the place of each tag
 * are those of playlists of the service; what it lacks and players miss is added where it is legal:
 * EXT-X-DISCONTINUITY-SEQUENCE in sliding playlists, EXT-X-START in a replay that has not slid yet.
 * A day has 43,200 entries, so lines are put together by hand, without printf, in the place they
 * are sent from; and their bytes are counted before, so that the answer has a length.
 */
#include "hls/playlist.h"

/* The value's decimal digits, at least min of them, up to end; returns where they begin. */
static inline char *digits(char *end, uint64_t value, int min)
{
    for (; min-- > 0 || value; value /= 10)
        *--end = (char) ('0' + value % 10);
    return end;
}

static size_t digit_count(uint64_t value)
{
    size_t count = 1;
    while ((value /= 10) > 0)
        count++;
    return count;
}

static char *put(char *at, struct kn_str s)
{
    memcpy(at, s.ptr, s.len);
    return at + s.len;
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

static void append_media_uri(const struct playback_master *master, struct kn_buf *out,
                             unsigned track)
{
    if (master->token.len)
        kn_buf_printf(out, PLAYBACK_SESSION_FOLDER KN_STR_FMT "/", KN_STR_ARG(master->token));
    kn_buf_printf(out, "getHLSMediaPlaylist.m3u8?TrackNumber=%u", track);
}

int playback_master_write(const struct playback_master *master, struct kn_buf *out)
{
    const struct playback_tracks *tracks = master->tracks;
    bool apart = tracks->count > 1 && master->session->container == PLAYBACK_FMP4;
    const struct playback_codec_info *first = &tracks->items[0].info;
    kn_buf_append_text(out, "#EXTM3U\n#EXT-X-VERSION:1\n");
    if (apart) {
        kn_buf_append_text(out, "#EXT-X-MEDIA:AUTOSELECT=YES,FORCED=NO,TYPE=AUDIO,URI=\"");
        append_media_uri(master, out, 2);
        kn_buf_append_text(out, "\",GROUP-ID=\"audio\",DEFAULT=NO,NAME=\"audio\"\n");
    }
    kn_buf_append_text(out, "#EXT-X-STREAM-INF:CODECS=\"");
    for (unsigned i = 0; i < tracks->count; i++)
        kn_buf_printf(out, "%s%s", i ? "," : "", tracks->items[i].info.text);
    kn_buf_append_text(out, "\"");
    if (!playback_codec_is_audio(first->codec)) {
        kn_buf_printf(out, ",RESOLUTION=%ux%u", first->width, first->height);
        if (master->frames_per_s > 0)
            append_frame_rate(out, master->frames_per_s);
    }
    kn_buf_printf(out, ",BANDWIDTH=%" PRIu64 "%s\n", master->bits_per_s,
                  apart ? ",AUDIO=\"audio\"" : "");
    append_media_uri(master, out, 1);
    kn_buf_append_text(out, "\n");
    return out->error;
}

/* --- a media playlist ------------------------------------------------------------------------- */

#define DISCONTINUITY "#EXT-X-DISCONTINUITY\n"
#define TIME          "#EXT-X-PROGRAM-DATE-TIME:"
#define GAP           "#EXT-X-GAP\n"
#define DURATION      "#EXTINF:"
#define END           "#EXT-X-ENDLIST\n"

enum {
    BYTES_OF_DISCONTINUITY = sizeof DISCONTINUITY - 1,
    BYTES_OF_TIME = sizeof TIME, /* with the line's end, without the time itself */
    BYTES_OF_GAP = sizeof GAP - 1,
    BYTES_OF_DURATION = sizeof DURATION - 1 + sizeof ".123,", /* and the seconds' digits */
    BYTES_OF_END = sizeof END - 1,
    BYTES_OF_MAP_END = sizeof "\"", /* and the line's end */
    HEAD_BYTES_MAX = 512,
};

static_assert((int) PLAYBACK_PLAYLIST_LINES_BYTES_MAX >= (int) HEAD_BYTES_MAX + (int) BYTES_OF_END,
              "room for the head");
static_assert((int) PLAYBACK_PLAYLIST_LINES_BYTES_MAX >=
                  (int) PLAYBACK_DISCONTINUITIES_MAX * (int) BYTES_OF_DISCONTINUITY +
                      2 * (int) PLAYBACK_TOKEN_BYTES_MAX + 512 + (int) BYTES_OF_END,
              "room for an entry");

/* What a fragment must have not to be a gap. Sound without a picture is one, also without one that
 * is held: players find its place by them, and where they go on with the sound they stand still
 * later, with all in memory. */
static unsigned kinds_of(const struct playback_session *session, unsigned track, bool lends)
{
    unsigned pictures = session->kinds & PLAYBACK_PICTURES;
    return pictures && (track == 1 || lends) ? pictures : session->kinds;
}

void playback_playlist_init(struct playback_playlist *playlist,
                            const struct playback_session *session,
                            const struct playback_list *list, struct kn_str token, unsigned track,
                            bool lends)
{
    bool mp4 = session->container == PLAYBACK_FMP4;
    kn_assert(token.len <= PLAYBACK_TOKEN_BYTES_MAX && track <= PLAYBACK_TRACKS_MAX);
    *playlist = (struct playback_playlist){.session = session,
                                           .list = list,
                                           .kinds = kinds_of(session, track, lends),
                                           .held_from = lends ? session->whole_seq : 0};
    const char *name = token.len ? "SessionToken=" : "", *also = token.len ? "&" : "";
    int n = snprintf(playlist->map_text, sizeof playlist->map_text,
                     "#EXT-X-MAP:URI=\"getMP4InitFragment.mp4?%s" KN_STR_FMT
                     "%sTrackNumber=%u&SequenceNumber=",
                     name, KN_STR_ARG(token), also, track);
    playlist->map = (struct kn_str){playlist->map_text, (size_t) n};
    char track_text[32] = "";
    if (mp4)
        (void) snprintf(track_text, sizeof track_text, "&TrackNumber=%u", track);
    n = snprintf(playlist->after_text, sizeof playlist->after_text, "%s%s" KN_STR_FMT "%s\n", also,
                 name, KN_STR_ARG(token), track_text);
    playlist->after = (struct kn_str){playlist->after_text, (size_t) n};
    playlist->segment = mp4 ? KN_STR("getMP4MediaFragment.mp4?FragmentNumber=")
                            : KN_STR("getTSFragment.ts?FragmentNumber=");
}

static size_t format_head(const struct playback_playlist *p, char text[HEAD_BYTES_MAX])
{
    const struct playback_list *list = p->list;
    bool mp4 = p->session->container == PLAYBACK_FMP4;
    bool sliding = p->session->mode != PLAYBACK_ON_DEMAND;
    bool counts = sliding && p->session->discontinuity != PLAYBACK_DISCONTINUITY_NEVER;
    char discontinuity[64] = "";
    if (counts)
        (void) snprintf(discontinuity, sizeof discontinuity,
                        "#EXT-X-DISCONTINUITY-SEQUENCE:%" PRIu64 "\n",
                        list->discontinuity_sequence);
    int n = snprintf(
        text, HEAD_BYTES_MAX,
        "#EXTM3U\n#EXT-X-VERSION:%d\n%s"
        "#EXT-X-TARGETDURATION:%" PRIu32 "\n#EXT-X-MEDIA-SEQUENCE:%" PRIu64 "\n"
        "%s#EXT-X-INDEPENDENT-SEGMENTS\n%s",
        list->gaps || (p->kinds & ~list->kinds) ? 8
        : mp4                                   ? 7
                                                : 3,
        sliding ? "" : "#EXT-X-PLAYLIST-TYPE:VOD\n", list->target_s, list->sequence, discontinuity,
        p->session->mode == PLAYBACK_LIVE_REPLAY && list->at_start ? "#EXT-X-START:TIME-OFFSET=0\n"
                                                                   : "");
    kn_assert(n > 0 && n < HEAD_BYTES_MAX);
    return (size_t) n;
}

/* --- its times -------------------------------------------------------------------------------- */

enum {
    TIME_BYTES = 24, /* "2026-11-22T20:49:55.123Z" */
    HOURS_END = 13,
    MINUTES_END = 16,
    SECONDS_END = 19,
    MILLIS_END = 23,
    MINUTE_MS = 60000,
    HOUR_MS = 60 * MINUTE_MS,
    DAY_MS = 24 * HOUR_MS,
};
static const int64_t year_10000_ms = INT64_C(253402300800000);

static bool is_usual_time(int64_t wall_ms)
{
    return wall_ms >= 0 && wall_ms < year_10000_ms;
}

static size_t time_bytes(int64_t wall_ms)
{
    char text[KN_TIME_TEXT_BYTES];
    if (is_usual_time(wall_ms))
        return TIME_BYTES;
    kn_time_iso8601(wall_ms, text);
    return strlen(text);
}

/* The date's text is made once a day of media; the time is put into it. */
static char *put_time(struct playback_playlist *p, char *at, int64_t wall_ms)
{
    bool usual = is_usual_time(wall_ms);
    int64_t day = wall_ms / DAY_MS;
    if (!usual || day != p->day || !p->day_text[0])
        kn_time_iso8601(wall_ms, p->day_text);
    if (!usual) {
        at = put(at, kn_str_from(p->day_text));
        p->day_text[0] = '\0';
        return at;
    }
    p->day = day;
    memcpy(at, p->day_text, TIME_BYTES);
    uint32_t ms = (uint32_t) (wall_ms % DAY_MS);
    (void) digits(at + HOURS_END, ms / HOUR_MS, 2);
    (void) digits(at + MINUTES_END, ms / MINUTE_MS % 60, 2);
    (void) digits(at + SECONDS_END, ms / 1000 % 60, 2);
    (void) digits(at + MILLIS_END, ms % 1000, 3);
    return at + TIME_BYTES;
}

/* --- its entries ------------------------------------------------------------------------------ */

/* Players pass over it. */
static bool is_gap(const struct playback_playlist *p, size_t at)
{
    const struct playback_entry *entry = &p->list->entries[at];
    bool held = p->held_from && entry->number.seq > p->held_from;
    return entry->flags & PLAYBACK_ENTRY_GAP || (!held && !playback_entry_has(entry, p->kinds));
}

static bool has_map(const struct playback_playlist *p, size_t at)
{
    const struct playback_entry *entries = p->list->entries;
    size_t before = at;
    if (p->session->container != PLAYBACK_FMP4 || is_gap(p, at))
        return false;
    while (before > 0 && is_gap(p, before - 1))
        before--;
    return before == 0 || entries[at].map != entries[before - 1].map;
}

static size_t entry_bytes(const struct playback_playlist *p, size_t at)
{
    const struct playback_entry *entry = &p->list->entries[at];
    size_t bytes = entry->discontinuities * (size_t) BYTES_OF_DISCONTINUITY;
    if (has_map(p, at))
        bytes += p->map.len + digit_count(p->list->maps[entry->map].hash) + BYTES_OF_MAP_END;
    if (p->session->display_time)
        bytes += BYTES_OF_TIME + time_bytes(entry->start_ms);
    if (is_gap(p, at))
        bytes += BYTES_OF_GAP;
    bytes += BYTES_OF_DURATION + digit_count(entry->duration_ms / 1000);
    return bytes + p->segment.len + STORAGE_NUMBER_DIGITS + p->after.len;
}

static char *put_duration(char *at, uint32_t ms)
{
    char text[16], *end = text + sizeof text;
    char *begin = digits(end, ms % 1000, 3);
    *--begin = '.';
    begin = digits(begin, ms / 1000, 1);
    at = put(at, KN_STR(DURATION));
    at = put(at, (struct kn_str){begin, (size_t) (end - begin)});
    return put(at, KN_STR(",\n"));
}

static char *put_entry(struct playback_playlist *p, char *at, size_t index)
{
    const struct playback_entry *entry = &p->list->entries[index];
    for (unsigned i = 0; i < entry->discontinuities; i++)
        at = put(at, KN_STR(DISCONTINUITY));
    if (has_map(p, index)) {
        at = put(at, p->map);
        char *end = at + digit_count(p->list->maps[entry->map].hash);
        (void) digits(end, p->list->maps[entry->map].hash, 1);
        at = put(end, KN_STR("\"\n"));
    }
    if (p->session->display_time) {
        at = put(at, KN_STR(TIME));
        at = put_time(p, at, entry->start_ms);
        *at++ = '\n';
    }
    if (is_gap(p, index))
        at = put(at, KN_STR(GAP));
    at = put_duration(at, entry->duration_ms);
    at = put(at, p->segment);
    storage_number_format(&entry->number, at); /* its NUL lies where the rest begins */
    return put(at + STORAGE_NUMBER_DIGITS, p->after);
}

uint64_t playback_playlist_bytes(const struct playback_playlist *playlist)
{
    char head[HEAD_BYTES_MAX];
    uint64_t bytes = format_head(playlist, head);
    for (size_t i = 0; i < playlist->list->count; i++)
        bytes += entry_bytes(playlist, i);
    return bytes + (playlist->list->ended ? (size_t) BYTES_OF_END : 0);
}

size_t playback_playlist_read(struct playback_playlist *playlist, char *dst, size_t cap)
{
    const struct playback_list *list = playlist->list;
    char head[HEAD_BYTES_MAX], *at = dst, *const end = dst + cap;
    if (!playlist->head_done) {
        size_t bytes = format_head(playlist, head);
        if (bytes > cap)
            return 0;
        at = put(at, (struct kn_str){head, bytes});
        playlist->head_done = true;
    }
    while (playlist->at < list->count) {
        size_t bytes = entry_bytes(playlist, playlist->at);
        if (bytes > (size_t) (end - at))
            return (size_t) (at - dst);
        char *after = put_entry(playlist, at, playlist->at++);
        kn_assert(after == at + bytes); /* what was counted is what was promised */
        at = after;
    }
    if (playlist->done || (list->ended && end - at < BYTES_OF_END))
        return (size_t) (at - dst);
    playlist->done = true;
    return (size_t) ((list->ended ? put(at, KN_STR(END)) : at) - dst);
}
