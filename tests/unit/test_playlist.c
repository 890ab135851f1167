/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each mode lists, word for word (kvs-api.md §4.4, RFC 8216), over an index in an array. The
 * storage below knows only how to find; numbers are sequences with zeros, so that the texts can be
 * read.
 */
#include "test.h"

#include "core/crypto.h"
#include "hls/playlist.h"

enum {
    T0 = 1700000000, /* s */
    FRAGMENTS_MAX = 64
};

struct storage {
    struct storage_fragment items[FRAGMENTS_MAX];
    size_t count;
    size_t finds;
};

static struct storage world;
static uint8_t avcc[64];
static struct storage_header headers[3]; /* 0 and 2 hold the same parameters */

int storage_find(struct storage *storage, const struct storage_id *stream,
                 const struct storage_query *query, struct storage_fragment *out, size_t cap,
                 size_t *ret_count, bool nowait)
{
    size_t found = 0;
    (void) stream;
    (void) nowait;
    storage->finds++;
    for (size_t k = 0; k < storage->count && found < cap; k++) {
        const struct storage_fragment *f =
            &storage->items[query->newest_first ? storage->count - 1 - k : k];
        int64_t ts =
            query->order == STORAGE_BY_PRODUCER_TS ? f->producer_ts_ms : f->number.server_ts_ms;
        bool by_number = query->order == STORAGE_BY_NUMBER;
        if (f->number.seq > query->after_seq &&
            (by_number || (ts >= query->from_ms && ts <= query->to_ms)))
            out[found++] = *f;
    }
    *ret_count = found;
    return 0;
}

void storage_find_ahead(struct storage *storage, const struct storage_id *stream,
                        const struct storage_query *query, uint64_t fragments)
{
    (void) storage;
    (void) stream;
    (void) query;
    (void) fragments;
}

int storage_stream_stats(struct storage *storage, const struct storage_id *stream,
                         struct storage_stream_stats *ret, bool nowait)
{
    (void) stream;
    (void) nowait;
    *ret = (struct storage_stream_stats){.fragments = storage->count};
    return 0;
}

int storage_header_get(struct storage *storage, const struct storage_id *stream,
                       const struct storage_fragment *fragment, struct storage_header **ret,
                       bool nowait)
{
    (void) storage;
    (void) stream;
    (void) nowait;
    *ret = &headers[fragment->header];
    return 0;
}

void storage_header_unref(struct storage_header *header)
{
    (void) header;
}

void storage_number_format(const struct storage_number *n, char dst[STORAGE_NUMBER_TEXT_BYTES])
{
    (void) snprintf(dst, STORAGE_NUMBER_TEXT_BYTES, "%047" PRIu64, n->seq);
}

static void setup(void)
{
    static const char hex[] = "01640028ffe1001967640028acd940780227e5c04400000fa40003a9803c60c65801"
                              "000668ebe3cb22c0fdf8f800";
    memset(&world, 0, sizeof world);
    assert_ok(kn_hex_decode(kn_str_from(hex), avcc, (sizeof hex - 1) / 2));
    for (size_t i = 0; i < 3; i++) {
        headers[i].parsed = (struct kn_mkv_header){.timestamp_scale_ns = 1000000, .track_count = 1};
        struct kn_mkv_track *track = &headers[i].parsed.tracks[0];
        *track = (struct kn_mkv_track){.number = 1, .type = KN_MKV_VIDEO};
        assert_ok(kn_str_copy(track->codec_id, sizeof track->codec_id, KN_STR("V_MPEG4/ISO/AVC")));
        track->codec_private = (struct kn_bytes){avcc, (sizeof hex - 1) / 2 - (i == 1 ? 4 : 0)};
    }
}

/* Adds one of 2 s; start in ms after T0 on both clocks. */
static struct storage_fragment *put(int64_t start_ms)
{
    assert_true(world.count < FRAGMENTS_MAX);
    size_t i = world.count++;
    struct storage_fragment *f = &world.items[i];
    *f = (struct storage_fragment){
        .number = {.seq = i + 1, .server_ts_ms = T0 * INT64_C(1000) + start_ms},
        .producer_ts_ms = T0 * INT64_C(1000) + start_ms,
        .ordinal = 100 + i,
        .discontinuity = i ? world.items[i - 1].discontinuity : 7,
        .duration_ms = 1960,
        .full_duration_ms = 2000
    };
    return f;
}

static struct playback_session session_of(enum playback_mode mode)
{
    return (struct playback_session){.mode = mode,
                                     .discontinuity = PLAYBACK_DISCONTINUITY_NEVER,
                                     .from_ms = INT64_MIN,
                                     .to_ms = INT64_MAX,
                                     .results_max = 5,
                                     .opened_ms = T0 * INT64_C(1000)};
}

static struct playback_list *list_at(const struct playback_session *session, int64_t now_ms,
                                     struct playback_pace *pace)
{
    struct playback_list *list;
    struct playback_list_in in = {.storage = &world,
                                  .session = session,
                                  .now_ms = T0 * INT64_C(1000) + now_ms,
                                  .hole_ms = 30000,
                                  .pace = pace};
    assert_ok(playback_list_make(&in, &list, true));
    return list;
}

/* The text as pieces of at most `piece` bytes; NUL-terminated. */
static struct kn_buf text_of(const struct playback_session *session,
                             const struct playback_list *list, const char *token, size_t piece)
{
    struct kn_buf out;
    struct playback_playlist playlist;
    playback_playlist_init(&playlist, session, list, kn_str_from(token), 1, false);
    size_t bytes = (size_t) playback_playlist_bytes(&playlist);
    kn_buf_init(&out, 1 << 20);
    while (!playlist.done) {
        assert_ok(kn_buf_reserve(&out, piece));
        size_t n = playback_playlist_read(&playlist, (char *) out.ptr + out.len, piece);
        assert_true(n > 0 && n <= piece);
        out.len += n;
    }
    assert_int_equal(out.len, bytes); /* as was promised */
    assert_int_equal(playback_playlist_read(&playlist, (char *) out.ptr, piece), 0);
    assert_ok(kn_buf_append_byte(&out, 0));
    return out;
}

static void expect(const struct playback_session *session, int64_t now_ms,
                   struct playback_pace *pace, const char *expected)
{
    struct playback_pace none = {.passed = 0};
    struct playback_list *list = list_at(session, now_ms, pace ? pace : &none);
    char map[32], *rest;
    struct kn_buf out = text_of(session, list, "", 1 << 16);
    if (list->map_count) { /* what the parameters hash to is no concern of these texts */
        (void) snprintf(map, sizeof map, "%" PRIu64, list->maps[0].hash);
        while ((rest = strstr((char *) out.ptr, map))) {
            *rest = 'H';
            memmove(rest + 1, rest + strlen(map), strlen(rest + strlen(map)) + 1);
        }
    }
    assert_string_equal((char *) out.ptr, expected);
    kn_buf_done(&out);
    playback_list_unref(list);
}

#define MAP "#EXT-X-MAP:URI=\"getMP4InitFragment.mp4?TrackNumber=1&SequenceNumber=H\"\n"
#define ZEROS                                                                                      \
    "0000000000"                                                                                   \
    "0000000000"                                                                                   \
    "0000000000"                                                                                   \
    "0000000000"                                                                                   \
    "000000"
#define SEGMENT(n)  "getMP4MediaFragment.mp4?FragmentNumber=" ZEROS n "&TrackNumber=1\n"
#define DISCONTINUE "#EXT-X-DISCONTINUITY\n"
#define TWO(n)      "#EXTINF:2.000,\n" SEGMENT(n)
#define TS_TWO(n)   "#EXTINF:2.000,\ngetTSFragment.ts?FragmentNumber=" ZEROS n "\n"

TEST(on_demand_is_a_closed_list_from_zero)
{
    setup();
    put(0);
    put(2010);
    put(4000);
    struct playback_session s = session_of(PLAYBACK_ON_DEMAND);
    s.from_ms = T0 * INT64_C(1000);
    s.to_ms = T0 * INT64_C(1000) + 4000;
    s.discontinuity = PLAYBACK_DISCONTINUITY_ALWAYS;
    s.display_time = true;
    expect(&s, 10000, NULL,
           "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:2\n"
           "#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-INDEPENDENT-SEGMENTS\n" DISCONTINUE MAP
           "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.000Z\n#EXTINF:2.010,\n" SEGMENT("1")
               DISCONTINUE
           "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:22.010Z\n#EXTINF:1.990,\n" SEGMENT("2")
               DISCONTINUE
           "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:24.000Z\n" TWO("3") "#EXT-X-ENDLIST\n");
}

TEST(on_demand_keeps_the_oldest_in_range_both_ends_included)
{
    setup();
    for (int i = 0; i < 8; i++)
        put(2000 * i);
    struct playback_session s = session_of(PLAYBACK_ON_DEMAND);
    s.from_ms = T0 * INT64_C(1000) + 1; /* the first began before: left out whole */
    s.to_ms = T0 * INT64_C(1000) + 10000;
    s.results_max = 3;
    struct playback_list *list = list_at(&s, 99000, NULL);
    assert_int_equal(list->count, 3);
    assert_int_equal(list->entries[0].number.seq, 2);
    playback_list_unref(list);
    s.results_max = 100;
    list = list_at(&s, 99000, NULL);
    assert_int_equal(list->count, 5);
    assert_int_equal(list->entries[4].number.seq, 6); /* starts at to_ms */
    assert_int_equal(list->sequence, 0);
    playback_list_unref(list);
}

TEST(a_break_of_more_than_50_ms_is_said_where_it_is)
{
    static const struct {
        int64_t second_ms;
        unsigned tags;
    } cases[] = {
        {2000, 0},
        {2050, 0},
        {2051, 1},
        {1950, 0},
        {1949, 1},
        {9000, 1}
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        setup();
        put(0);
        put(cases[i].second_ms);
        struct playback_session s = session_of(PLAYBACK_ON_DEMAND);
        s.discontinuity = PLAYBACK_DISCONTINUITY_WHERE_BROKEN;
        struct playback_list *list = list_at(&s, 99000, NULL);
        assert_int_equal(list->entries[0].discontinuities, 0);
        assert_int_equal(list->entries[1].discontinuities, cases[i].tags);
        playback_list_unref(list);
        s.discontinuity = PLAYBACK_DISCONTINUITY_NEVER;
        list = list_at(&s, 99000, NULL);
        assert_int_equal(list->entries[1].discontinuities, 0);
        playback_list_unref(list);
    }
}

TEST(new_codec_parameters_get_a_map_and_the_old_ones_their_old_one)
{
    setup();
    put(0);
    put(2000)->header = 1;
    put(4000)->header = 2;
    struct playback_session s = session_of(PLAYBACK_ON_DEMAND);
    struct playback_list *list = list_at(&s, 99000, NULL);
    assert_int_equal(list->map_count, 2);
    struct kn_buf out = text_of(&s, list, "", 1 << 16);
    char line[3][160];
    for (int i = 0; i < 2; i++)
        (void) snprintf(line[i], sizeof line[i], "TrackNumber=1&SequenceNumber=%" PRIu64 "\"",
                        list->maps[i].hash);
    char *first = strstr((char *) out.ptr, line[0]), *second = strstr((char *) out.ptr, line[1]);
    assert_true(first && second && first < second);
    assert_non_null(strstr(second, line[0]));
    kn_buf_done(&out);
    playback_list_unref(list);
}

TEST(live_lists_the_newest_and_counts_by_ordinal)
{
    setup();
    for (int i = 0; i < 6; i++)
        put(2000 * i);
    world.items[4].discontinuity = world.items[5].discontinuity = 8;
    struct playback_session s = session_of(PLAYBACK_LIVE);
    s.results_max = 3;
    expect(&s, 12000, NULL,
           "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:103\n"
           "#EXT-X-INDEPENDENT-SEGMENTS\n" MAP TWO("4") TWO("5") TWO("6"));
    s.discontinuity = PLAYBACK_DISCONTINUITY_WHERE_BROKEN;
    s.clock = PLAYBACK_PRODUCER_CLOCK;
    expect(&s, 12000, NULL,
           "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:103\n"
           "#EXT-X-DISCONTINUITY-SEQUENCE:7\n#EXT-X-INDEPENDENT-SEGMENTS\n" MAP TWO("4")
               DISCONTINUE TWO("5") TWO("6"));
    s.discontinuity = PLAYBACK_DISCONTINUITY_ALWAYS;
    s.container = PLAYBACK_TS;
    expect(&s, 12000, NULL,
           "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:103\n"
           "#EXT-X-DISCONTINUITY-SEQUENCE:103\n#EXT-X-INDEPENDENT-SEGMENTS\n" DISCONTINUE TS_TWO(
               "4") DISCONTINUE TS_TWO("5") DISCONTINUE TS_TWO("6"));
}

/* By the server's clock a fragment comes when the network lets it: what the index knows of the
 * producer's clock is not enough. */
TEST(live_by_the_servers_clock_says_where_fragments_do_not_meet)
{
    setup();
    static const int64_t jitter_ms[] = {0, 50, 120, 120, 60, 60};
    for (int i = 0; i < 6; i++)
        put(2000 * i)->number.server_ts_ms += jitter_ms[i];
    struct playback_session s = session_of(PLAYBACK_LIVE);
    struct playback_pace pace = {.passed = 0};
    s.discontinuity = PLAYBACK_DISCONTINUITY_WHERE_BROKEN;
    s.from_seq = 1;
    s.results_max = 4;
    expect(&s, 12000, &pace,
           "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:102\n"
           "#EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-INDEPENDENT-SEGMENTS\n" DISCONTINUE MAP TWO("3")
               TWO("4") DISCONTINUE TWO("5") TWO("6"));
    s.results_max = 2;
    expect(&s, 12000, &pace,
           "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:104\n"
           "#EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXT-X-INDEPENDENT-SEGMENTS\n" DISCONTINUE MAP TWO("5")
               TWO("6"));
}

/* Both sequence numbers of a fragment are the same in whichever window it stands, also when what is
 * kept of a session gets lost. */
static void check_sequence_numbers(struct playback_session s, bool lost)
{
    uint64_t seen[FRAGMENTS_MAX] = {0}, seen_break[FRAGMENTS_MAX] = {0}, broken = 0;
    struct playback_pace pace = {.passed = 0};
    setup();
    s.results_max = 4;
    s.opened_ms -= 3600000; /* a replay need not wait */
    for (int i = 0; i < 60; i++) {
        struct storage_fragment *f = put(2000 * i);
        f->discontinuity += (uint64_t) (i % 7 == 3) + (i % 11 == 5 ? 2 : 0);
        f->number.server_ts_ms += i % 5 == 4 ? 90 : 0;
        if (lost)
            pace = (struct playback_pace){.passed = 0};
        struct playback_list *list = list_at(&s, 2000 * i, &pace);
        uint64_t breaks = list->discontinuity_sequence;
        for (size_t k = 0; k < list->count; k++) {
            uint64_t seq = list->entries[k].number.seq;
            breaks += list->entries[k].discontinuities;
            broken += list->entries[k].discontinuities;
            if (seen[seq]) {
                assert_int_equal(seen[seq], list->sequence + k);
                assert_int_equal(seen_break[seq], breaks);
            }
            seen[seq] = list->sequence + k;
            seen_break[seq] = breaks;
        }
        playback_list_unref(list);
    }
    assert_int_equal(broken > 0, s.discontinuity != PLAYBACK_DISCONTINUITY_NEVER);
}

TEST(sequence_numbers_of_a_fragment_never_change_as_the_window_slides)
{
    for (unsigned i = 0; i < 24; i++) {
        struct playback_session s = session_of(i & 1 ? PLAYBACK_LIVE : PLAYBACK_LIVE_REPLAY);
        s.clock = i & 2 ? PLAYBACK_PRODUCER_CLOCK : PLAYBACK_SERVER_CLOCK;
        s.discontinuity = (enum playback_discontinuity)(i / 8);
        s.from_seq = s.mode == PLAYBACK_LIVE;
        check_sequence_numbers(s, i & 4);
    }
}

TEST(live_holds_through_a_pause_and_begins_anew_after_a_long_one)
{
    setup();
    for (int i = 0; i < 5; i++)
        put(2000 * i);
    struct playback_session s = session_of(PLAYBACK_LIVE);
    struct playback_list *list = list_at(&s, 3600000, NULL); /* an hour of silence: held */
    assert_int_equal(list->count, 5);
    assert_false(list->ended);
    playback_list_unref(list);
    put(10000 + 29000);
    list = list_at(&s, 39000, NULL);
    assert_int_equal(list->count, 5);
    playback_list_unref(list);
    put(100000);
    list = list_at(&s, 100000, NULL);
    assert_int_equal(list->count, 1);
    assert_int_equal(list->sequence, 106);
    playback_list_unref(list);
}

TEST(a_late_fragment_stands_as_a_gap_and_stays_one)
{
    setup();
    put(0);
    put(2000);
    put(4000)->producer_ts_ms -= 3000; /* older than the newest listed */
    put(6000);
    struct playback_session s = session_of(PLAYBACK_LIVE);
    s.clock = PLAYBACK_PRODUCER_CLOCK;
    expect(&s, 8000, NULL,
           "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:100\n"
           "#EXT-X-INDEPENDENT-SEGMENTS\n" MAP TWO("1")
               TWO("2") "#EXT-X-GAP\n#EXTINF:0.001,\n" SEGMENT("3") TWO("4"));
    s.results_max = 2; /* what made it late is not in the window any more */
    struct playback_list *list = list_at(&s, 8000, NULL);
    assert_true(list->entries[0].flags & PLAYBACK_ENTRY_GAP);
    playback_list_unref(list);
}

TEST(what_has_no_pictures_is_a_gap_and_the_map_goes_on_behind_it)
{
    setup();
    static const uint8_t aac[] = {0x11, 0x90};
    struct kn_mkv_track *track = &headers[1].parsed.tracks[0];
    *track = (struct kn_mkv_track){.number = 1, .type = KN_MKV_AUDIO};
    assert_ok(kn_str_copy(track->codec_id, sizeof track->codec_id, KN_STR("A_AAC")));
    track->codec_private = (struct kn_bytes){aac, sizeof aac};
    for (int i = 0; i < 5; i++)
        put(2000 * i)->header = i == 0 || i == 2 || i == 3;
    struct playback_session s = session_of(PLAYBACK_LIVE);
    struct playback_list *list = list_at(&s, 10000, NULL);
    assert_int_equal(playback_list_kinds(list), PLAYBACK_PICTURES); /* never both at a time */
    assert_int_equal(playback_list_find_kinds(list, PLAYBACK_PICTURES), 1);
    assert_int_equal(list->kinds, 0);
    playback_list_unref(list);
    s.kinds = PLAYBACK_PICTURES;
    list = list_at(&s, 10000, NULL);
    struct kn_buf out = text_of(&s, list, "", 1 << 16);
    char map[32], expected[4096];
    (void) snprintf(map, sizeof map, "%" PRIu64, list->maps[1].hash);
    (void) snprintf(expected, sizeof expected,
                    "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-TARGETDURATION:2\n"
                    "#EXT-X-MEDIA-SEQUENCE:100\n#EXT-X-INDEPENDENT-SEGMENTS\n"
                    "#EXT-X-GAP\n" TWO("1") "#EXT-X-MAP:URI=\"getMP4InitFragment.mp4?TrackNumber=1"
                                            "&SequenceNumber=%s\"\n" TWO("2") "#EXT-X-GAP\n" TWO(
                                                "3") "#EXT-X-GAP\n" TWO("4") TWO("5"),
                    map);
    assert_string_equal((char *) out.ptr, expected);
    kn_buf_done(&out);
    playback_list_unref(list);
}

static unsigned gaps_of(const struct playback_session *session, const struct playback_list *list,
                        unsigned track, bool lends)
{
    static char text[1 << 16];
    struct playback_playlist playlist;
    unsigned gaps = 0;
    playback_playlist_init(&playlist, session, list, KN_STR(""), track, lends);
    text[playback_playlist_read(&playlist, text, sizeof text - 1)] = '\0';
    for (const char *at = text; (at = strstr(at, "#EXT-X-GAP\n")); at++)
        gaps++;
    return gaps;
}

/* Pictures and sound, and then pictures alone, or sound alone, for longer than a window. */
TEST(what_is_missing_just_now_is_looked_for_where_there_was_some)
{
    setup();
    static const uint8_t aac[] = {0x11, 0x90};
    struct kn_mkv_header *both = &headers[1].parsed;
    both->tracks[1] = (struct kn_mkv_track){.number = 2, .type = KN_MKV_AUDIO};
    assert_ok(
        kn_str_copy(both->tracks[1].codec_id, sizeof both->tracks[1].codec_id, KN_STR("A_AAC")));
    both->tracks[1].codec_private = (struct kn_bytes){aac, sizeof aac};
    both->tracks[0].codec_private = headers[0].parsed.tracks[0].codec_private;
    both->track_count = 2;
    for (int i = 0; i < 6; i++)
        put(2000 * i)->header = i == 1;
    struct playback_session s = session_of(PLAYBACK_LIVE);
    s.results_max = 3;
    struct playback_list *list = list_at(&s, 12000, NULL);
    const struct playback_list_in in = {.storage = &world, .session = &s};
    assert_int_equal(playback_list_kinds(list), PLAYBACK_PICTURES);
    uint64_t whole = 0;
    assert_ok(playback_list_find_whole(&in, list, &whole));
    assert_int_equal(whole, 2);
    s.kinds = PLAYBACK_PICTURES | PLAYBACK_SOUND;
    assert_int_equal(gaps_of(&s, list, 1, true), 0);
    assert_int_equal(gaps_of(&s, list, 2, true), 0);
    assert_int_equal(gaps_of(&s, list, 2, false), 3); /* what would lend is not there any more */
    for (int i = 2; i < 6; i++)
        world.items[i].header = 2;
    headers[2].parsed.tracks[0] = headers[1].parsed.tracks[1]; /* and now sound alone */
    playback_list_unref(list);
    list = list_at(&s, 12000, NULL);
    assert_ok(playback_list_find_whole(&in, list, &s.whole_seq));
    assert_int_equal(s.whole_seq, 2);
    assert_int_equal(gaps_of(&s, list, 1, true), 0);
    assert_int_equal(gaps_of(&s, list, 2, true), 0);
    assert_int_equal(gaps_of(&s, list, 1, false), 3);
    s.whole_seq = 5; /* there is no picture before it to be held */
    assert_int_equal(gaps_of(&s, list, 1, true), 2);
    assert_int_equal(gaps_of(&s, list, 2, true), 2);
    s.mode = PLAYBACK_ON_DEMAND; /* a range has what it has */
    assert_ok(playback_list_find_whole(&in, list, &whole));
    assert_int_equal(whole, 0);
    playback_list_unref(list);
    s.results_max = 5;
    list = list_at(&s, 12000, NULL);
    assert_ok(playback_list_find_whole(&in, list, &whole));
    assert_int_equal(whole, 2);
    playback_list_unref(list);
}

TEST(the_target_duration_of_a_session_does_not_shrink)
{
    setup();
    put(0);
    struct playback_session s = session_of(PLAYBACK_LIVE);
    s.target_s = 6;
    struct playback_list *list = list_at(&s, 1000, NULL);
    assert_int_equal(list->target_s, 6);
    playback_list_unref(list);
    put(2000)->full_duration_ms = 9500;
    list = list_at(&s, 1000, NULL);
    assert_int_equal(list->target_s, 10);
    playback_list_unref(list);
}

TEST(a_replay_starts_at_its_start_and_goes_on_by_the_clock)
{
    setup();
    for (int i = 0; i < 20; i++)
        put(2000 * i + (i > 6 ? 3600000 : 0)); /* an hour's pause after the seventh */
    static const struct {
        int64_t now_ms;
        uint64_t first, last;
    } steps[] = {
        {0,      1,  3 },
        {1999,   1,  3 },
        {2000,   1,  4 },
        {4100,   1,  5 },
        {6000,   2,  6 },
        {8000,   3,  7 },
        {9999,   3,  7 },
        {10000,  4,  8 }, /* the pause is not waited for */
        {16000,  7,  11},
        {900000, 16, 20}
    };
    for (int together = 0; together < 2; together++) {
        struct playback_session s = session_of(PLAYBACK_LIVE_REPLAY);
        s.from_ms = T0 * INT64_C(1000);
        struct playback_pace pace = {.passed = 0};
        for (size_t i = 0; i < KN_ARRAY_LEN(steps); i++) {
            struct playback_pace fresh = {.passed = 0}; /* as after a restart */
            struct playback_list *list = list_at(&s, steps[i].now_ms, together ? &pace : &fresh);
            assert_int_equal(list->entries[0].number.seq, steps[i].first);
            assert_int_equal(list->entries[list->count - 1].number.seq, steps[i].last);
            assert_int_equal(list->sequence, 99 + steps[i].first);
            assert_false(list->ended);
            assert_int_equal(list->at_start, steps[i].first == 1);
            playback_list_unref(list);
        }
    }
}

TEST(a_large_window_does_not_shift_the_start_of_a_replay)
{
    setup();
    for (int i = 0; i < 20; i++)
        put(2000 * i);
    struct playback_session s = session_of(PLAYBACK_LIVE_REPLAY);
    s.from_ms = T0 * INT64_C(1000);
    s.results_max = 5000;
    expect(&s, 0, NULL,
           "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:100\n"
           "#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-START:TIME-OFFSET=0\n" MAP TWO("1") TWO("2")
               TWO("3"));
}

TEST(a_replay_with_an_end_is_closed_once_all_is_listed)
{
    setup();
    for (int i = 0; i < 6; i++)
        put(2000 * i);
    struct playback_session s = session_of(PLAYBACK_LIVE_REPLAY);
    s.from_ms = T0 * INT64_C(1000);
    s.to_ms = T0 * INT64_C(1000) + 8000;
    s.opened_ms += 12000;
    struct playback_pace pace = {.passed = 0};
    struct playback_list *list = list_at(&s, 12000, &pace);
    assert_false(list->ended);
    assert_int_equal(list->count, 3);
    playback_list_unref(list);
    list = list_at(&s, 16000, &pace);
    assert_true(list->ended);
    assert_int_equal(list->entries[list->count - 1].number.seq, 5);
    playback_list_unref(list);
}

TEST(a_replay_follows_what_is_recorded_meanwhile)
{
    setup();
    put(0);
    struct playback_session s = session_of(PLAYBACK_LIVE_REPLAY);
    s.from_ms = T0 * INT64_C(1000);
    struct playback_pace pace = {.passed = 0};
    for (int i = 1; i < 20; i++) {
        put(2000 * i);
        struct playback_list *list = list_at(&s, 2000 * i, &pace);
        assert_int_equal(list->entries[list->count - 1].number.seq, i + 1);
        assert_int_equal(list->sequence + list->count, 100 + i + 1);
        playback_list_unref(list);
    }
}

TEST(by_producer_time_the_larger_number_of_equal_starts_wins)
{
    setup();
    for (int i = 0; i < 3; i++)
        put(2000 * i);
    for (int i = 0; i < 3; i++) { /* the same period uploaded again, a minute later */
        put(60000 + 2000 * i);
        world.items[3 + i].producer_ts_ms = world.items[i].producer_ts_ms;
    }
    struct playback_session s = session_of(PLAYBACK_ON_DEMAND);
    s.clock = PLAYBACK_PRODUCER_CLOCK;
    s.from_ms = T0 * INT64_C(1000);
    s.to_ms = T0 * INT64_C(1000) + 8000;
    struct playback_list *list = list_at(&s, 99000, NULL);
    assert_int_equal(list->count, 3);
    assert_int_equal(list->entries[0].number.seq, 4);
    playback_list_unref(list);
}

TEST(text_in_steps_equals_text_at_once)
{
    setup();
    for (int i = 0; i < 40; i++)
        put(2000 * i);
    struct playback_session s = session_of(PLAYBACK_ON_DEMAND);
    s.results_max = 100;
    struct playback_list *list = list_at(&s, 99000, NULL);
    struct kn_buf whole = text_of(&s, list, "", 1 << 16), steps = text_of(&s, list, "", 512);
    assert_string_equal((char *) whole.ptr, (char *) steps.ptr);
    kn_buf_done(&whole);
    kn_buf_done(&steps);
    playback_list_unref(list);
}

TEST(addresses_carry_the_token_where_no_folder_does)
{
    setup();
    put(0);
    struct playback_session s = session_of(PLAYBACK_ON_DEMAND);
    struct playback_list *list = list_at(&s, 99000, NULL);
    struct kn_buf out = text_of(&s, list, "TOKEN~", 1 << 16);
    assert_non_null(strstr((char *) out.ptr,
                           "\n#EXT-X-MAP:URI=\"getMP4InitFragment.mp4?SessionToken="
                           "TOKEN~&TrackNumber=1&SequenceNumber="));
    assert_non_null(strstr((char *) out.ptr, "\ngetMP4MediaFragment.mp4?FragmentNumber=" ZEROS
                                             "1&SessionToken=TOKEN~&TrackNumber=1\n"));
    kn_buf_done(&out);
    s.container = PLAYBACK_TS;
    out = text_of(&s, list, "TOKEN~", 1 << 16);
    assert_non_null(strstr((char *) out.ptr,
                           "\ngetTSFragment.ts?FragmentNumber=" ZEROS "1&SessionToken=TOKEN~\n"));
    kn_buf_done(&out);
    playback_list_unref(list);
}

/* A producer's clock may say anything; and the largest of everything fits. */
TEST(a_text_is_as_long_as_it_was_counted_whatever_it_says)
{
    static const int64_t starts_ms[] = {
        0,         999,          59999, INT64_C(253402300799999), INT64_C(253402300800000),
        INT64_MAX, 1700000000123};
    static char token[PLAYBACK_TOKEN_BYTES_MAX + 1];
    struct playback_entry entries[2 * KN_ARRAY_LEN(starts_ms)];
    struct playback_map maps[] = {{.hash = 0}, {.hash = UINT64_MAX}};
    memset(token, 'T', sizeof token - 1);
    for (size_t i = 0; i < KN_ARRAY_LEN(entries); i++)
        entries[i] =
            (struct playback_entry){.number = {.seq = i},
                                    .start_ms = starts_ms[i / 2],
                                    .duration_ms = i % 3 ? UINT32_MAX >> i : (uint32_t) i,
                                    .discontinuities = i % 2 ? PLAYBACK_DISCONTINUITIES_MAX : 0,
                                    .flags = i % 4 ? PLAYBACK_ENTRY_GAP : 0,
                                    .map = i % 2};
    struct playback_list list = {.refs = 1,
                                 .gaps = true,
                                 .sequence = UINT64_MAX,
                                 .discontinuity_sequence = UINT64_MAX,
                                 .target_s = UINT32_MAX,
                                 .map_count = 2,
                                 .maps = maps,
                                 .count = KN_ARRAY_LEN(entries),
                                 .entries = entries};
    for (unsigned i = 0; i < 24; i++) {
        struct playback_session s = session_of((enum playback_mode)(i % 3));
        s.discontinuity = (enum playback_discontinuity)(i / 3 % 3);
        s.container = i & 1 ? PLAYBACK_TS : PLAYBACK_FMP4;
        s.display_time = i & 2;
        list.ended = i & 4;
        list.at_start = i & 8;
        struct kn_buf whole = text_of(&s, &list, token, 1 << 16),
                      pieces = text_of(&s, &list, token, PLAYBACK_PLAYLIST_LINES_BYTES_MAX);
        assert_string_equal((char *) whole.ptr, (char *) pieces.ptr);
        kn_buf_done(&whole);
        kn_buf_done(&pieces);
    }
}

TEST(the_master_reads_as_the_services_own)
{
    struct playback_tracks tracks = {.count = 2};
    struct playback_codec_info *video = &tracks.items[0].info, *audio = &tracks.items[1].info;
    *video = (struct playback_codec_info){
        .codec = PLAYBACK_H264, .text = "avc1.42c032", .width = 2592, .height = 1944};
    *audio = (struct playback_codec_info){.codec = PLAYBACK_AAC, .text = "mp4a.40.2"};
    struct playback_session s = session_of(PLAYBACK_LIVE);
    struct playback_master master = {.session = &s,
                                     .token = KN_STR("TOKEN~"),
                                     .tracks = &tracks,
                                     .frames_per_s = 15.01,
                                     .bits_per_s = 2583047};
    struct kn_buf out;
    kn_buf_init(&out, 4096);
    assert_ok(playback_master_write(&master, &out));
    assert_str_is(
        kn_buf_str(&out),
        "#EXTM3U\n#EXT-X-VERSION:1\n"
        "#EXT-X-MEDIA:AUTOSELECT=YES,FORCED=NO,TYPE=AUDIO,URI=\"s/TOKEN~/getHLSMediaPlaylist.m3u8?"
        "TrackNumber=2\",GROUP-ID=\"audio\",DEFAULT=NO,NAME=\"audio\"\n"
        "#EXT-X-STREAM-INF:CODECS=\"avc1.42c032,mp4a.40.2\",RESOLUTION=2592x1944,"
        "FRAME-RATE=15.01,BANDWIDTH=2583047,AUDIO=\"audio\"\n"
        "s/TOKEN~/getHLSMediaPlaylist.m3u8?TrackNumber=1\n");
    kn_buf_clear(&out);
    s.container = PLAYBACK_TS;
    master.frames_per_s = 30;
    assert_ok(playback_master_write(&master, &out));
    assert_str_is(kn_buf_str(&out),
                  "#EXTM3U\n#EXT-X-VERSION:1\n"
                  "#EXT-X-STREAM-INF:CODECS=\"avc1.42c032,mp4a.40.2\",RESOLUTION=2592x1944,"
                  "FRAME-RATE=30,BANDWIDTH=2583047\n"
                  "s/TOKEN~/getHLSMediaPlaylist.m3u8?TrackNumber=1\n");
    kn_buf_clear(&out);
    s.container = PLAYBACK_FMP4;
    tracks.count = 1;
    tracks.items[0] = tracks.items[1];
    master.token = KN_STR(""); /* asked for in the session's folder */
    assert_ok(playback_master_write(&master, &out));
    assert_str_is(kn_buf_str(&out), "#EXTM3U\n#EXT-X-VERSION:1\n"
                                    "#EXT-X-STREAM-INF:CODECS=\"mp4a.40.2\",BANDWIDTH=2583047\n"
                                    "getHLSMediaPlaylist.m3u8?TrackNumber=1\n");
    kn_buf_done(&out);
}

TESTS_MAIN(TEST_OF(on_demand_is_a_closed_list_from_zero),
           TEST_OF(on_demand_keeps_the_oldest_in_range_both_ends_included),
           TEST_OF(a_break_of_more_than_50_ms_is_said_where_it_is),
           TEST_OF(new_codec_parameters_get_a_map_and_the_old_ones_their_old_one),
           TEST_OF(live_lists_the_newest_and_counts_by_ordinal),
           TEST_OF(live_by_the_servers_clock_says_where_fragments_do_not_meet),
           TEST_OF(sequence_numbers_of_a_fragment_never_change_as_the_window_slides),
           TEST_OF(live_holds_through_a_pause_and_begins_anew_after_a_long_one),
           TEST_OF(a_late_fragment_stands_as_a_gap_and_stays_one),
           TEST_OF(what_has_no_pictures_is_a_gap_and_the_map_goes_on_behind_it),
           TEST_OF(what_is_missing_just_now_is_looked_for_where_there_was_some),
           TEST_OF(the_target_duration_of_a_session_does_not_shrink),
           TEST_OF(a_replay_starts_at_its_start_and_goes_on_by_the_clock),
           TEST_OF(a_large_window_does_not_shift_the_start_of_a_replay),
           TEST_OF(a_replay_with_an_end_is_closed_once_all_is_listed),
           TEST_OF(a_replay_follows_what_is_recorded_meanwhile),
           TEST_OF(by_producer_time_the_larger_number_of_equal_starts_wins),
           TEST_OF(text_in_steps_equals_text_at_once),
           TEST_OF(addresses_carry_the_token_where_no_folder_does),
           TEST_OF(a_text_is_as_long_as_it_was_counted_whatever_it_says),
           TEST_OF(the_master_reads_as_the_services_own))
