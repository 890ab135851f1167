/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of playback: one row each, from which parser, help and reference page are made.
 * Figures are those of the AWS quota pages where it has one. */
#include "playback/playback.h"

#define AT(member) offsetof(struct playback_conf, member)

enum {
    SECOND_MS = 1000,
    MINUTE_MS = 60 * SECOND_MS,
    HOUR_MS = 60 * MINUTE_MS,
};

const struct kn_conf_key playback_conf_keys[] = {
    {.name = "get_media_idle_ms",
     .type = KN_CONF_U64,
     .offset = AT(get_media_idle_ms),
     .min = 100,
     .max = 24 * HOUR_MS,
     .def = 3 * SECOND_MS,
     .unit = "ms",
     .help = "A GetMedia answer ends after this long without new media. A caller may ask for "
             "another time with the header x-kinema-idle-timeout-ms (0: no limit)."           },
    {.name = "get_media_ms_max",
     .type = KN_CONF_U64,
     .offset = AT(get_media_ms_max),
     .min = 0,
     .max = UINT32_MAX,
     .def = 45 * MINUTE_MS,
     .unit = "ms",
     .help = "A GetMedia answer ends with the first fragment complete after this long. 0: no "
             "limit."                                                                         },
    {.name = "session_live_window_ms",
     .type = KN_CONF_U64,
     .offset = AT(session_live_window_ms),
     .min = SECOND_MS,
     .max = 24 * HOUR_MS,
     .def = 30 * SECOND_MS,
     .unit = "ms",
     .help = "A LIVE session can be opened when the stream has a fragment at most this old."  },
    {.name = "playlist_fragments_max",
     .type = KN_CONF_U64,
     .offset = AT(playlist_fragments_max),
     .min = 1,
     .max = 1000000,
     .def = 5000,
     .unit = "count",
     .help = "Most fragments a media playlist lists for sessions opened through the AWS call."},
    {.name = "cache_bytes_max",
     .type = KN_CONF_U64,
     .offset = AT(cache_bytes_max),
     .min = MIB(1),
     .max = GIB(64),
     .def = MIB(16),
     .unit = "bytes",
     .help = "Memory for rendered segment headers and init segments, shared by all viewers."  },
    {.name = "ts_held_bytes_max",
     .type = KN_CONF_U64,
     .offset = AT(ts_held_bytes_max),
     .min = MIB(1),
     .max = GIB(64),
     .def = MIB(128),
     .unit = "bytes",
     .help = "Memory for MPEG-TS that is made and not yet sent, shared by all viewers. Past it, "
             "viewers wait for others to read on, or to be disconnected."                     },
    {.name = "range_ms_max",
     .type = KN_CONF_U64,
     .offset = AT(range_ms_max),
     .min = MINUTE_MS,
     .max = 3660ull * 24 * HOUR_MS,
     .def = 24 * HOUR_MS,
     .unit = "ms",
     .help = "Longest time range one session or clip may span."                               },
};
const size_t playback_conf_key_count = KN_ARRAY_LEN(playback_conf_keys);
