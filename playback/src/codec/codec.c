/* SPDX-License-Identifier: Apache-2.0 */
/* From Matroska tracks to playable ones. The rules and the wording of the refusals are those of
 * GetHLSStreamingSessionURL (KVS developer guide, track requirements; texts seen from the service).
 */
#include "codec/codec.h"

#include "core/crypto.h"

static enum playback_codec codec_of(const struct kn_mkv_track *track)
{
    enum {
        WAVE_ALAW = 6, /* WAVEFORMATEX, wFormatTag */
        WAVE_ULAW = 7,
    };
    struct kn_str id = kn_str_from(track->codec_id);
    if (kn_str_eq(id, KN_STR("V_MPEG4/ISO/AVC")))
        return PLAYBACK_H264;
    if (kn_str_eq(id, KN_STR("V_MPEGH/ISO/HEVC")))
        return PLAYBACK_H265;
    if (kn_str_eq(id, KN_STR("A_AAC")))
        return PLAYBACK_AAC;
    if (kn_str_eq(id, KN_STR("A_MS/ACM")) && track->codec_private.len >= 2) {
        unsigned tag = track->codec_private.ptr[0] | (unsigned) track->codec_private.ptr[1] << 8;
        return tag == WAVE_ALAW   ? PLAYBACK_ALAW
               : tag == WAVE_ULAW ? PLAYBACK_ULAW
                                  : PLAYBACK_CODEC_NONE;
    }
    return PLAYBACK_CODEC_NONE;
}

int playback_codec_parse(const struct kn_mkv_track *track, struct playback_codec_info *ret,
                         struct kn_err *err)
{
    enum playback_codec codec = codec_of(track);
    enum kn_mkv_track_type type = playback_codec_is_audio(codec) ? KN_MKV_AUDIO : KN_MKV_VIDEO;
    if (codec == PLAYBACK_CODEC_NONE || track->type != type)
        return kn_fail(err, -EINVAL, "codec id %.60s is not playable", track->codec_id);
    if (!track->codec_private.len)
        return kn_fail(err, -ENODATA, "track %" PRIu64 " has no codec private data", track->number);
    int r;
    if (codec == PLAYBACK_H264)
        r = playback_h264_parse(track->codec_private, ret, err);
    else if (codec == PLAYBACK_H265)
        r = playback_h265_parse(track->codec_private, ret, err);
    else if (codec == PLAYBACK_AAC)
        r = playback_aac_parse(track->codec_private, ret, err);
    else
        r = playback_g711_parse(track->codec_private, ret, err);
    if (r == 0 && codec == PLAYBACK_AAC && !ret->channels)
        ret->channels = track->channels ? track->channels : 2; /* said by a channel map we skip */
    return r;
}

static int unsupported(const struct kn_mkv_header *header, struct kn_err *err)
{
    char list[160] = "";
    size_t used = 0;
    for (unsigned i = 0; i < header->track_count && used < sizeof list - 40; i++) {
        int n = snprintf(list + used, sizeof list - used, "%s(track %" PRIu64 ": %.20s)",
                         i ? ", " : "", header->tracks[i].number, header->tracks[i].codec_id);
        used += n > 0 ? (size_t) n : 0;
    }
    return kn_fail(err, -EINVAL,
                   "The type of the media is not supported or could not be determined from the "
                   "media codec ids: %s.",
                   list);
}

/* What a camera says beside its pictures, which players do not ask for. */
static bool is_metadata(const struct kn_mkv_track *track)
{
    return track->type == KN_MKV_OTHER &&
           kn_str_starts_with(kn_str_from(track->codec_id), KN_STR("D_ONVIF/"));
}

static bool is_video_of(enum playback_codec codec, enum playback_container container)
{
    return codec == PLAYBACK_H264 || (codec == PLAYBACK_H265 && container != PLAYBACK_TS);
}

static bool is_audio_of(enum playback_codec codec, enum playback_container container)
{
    return codec == PLAYBACK_AAC ||
           (codec == PLAYBACK_ALAW && (container == PLAYBACK_DASH || container == PLAYBACK_CLIP)) ||
           (codec == PLAYBACK_ULAW && container == PLAYBACK_DASH);
}

/* Do the two go together? G.711 only beside H.264; in a clip no audio alone. */
static bool is_pair_of(const struct kn_mkv_track *video, const struct kn_mkv_track *audio,
                       enum playback_container container)
{
    bool g711 = audio && codec_of(audio) != PLAYBACK_AAC;
    return video ? !g711 || codec_of(video) == PLAYBACK_H264
                 : audio && !g711 && container != PLAYBACK_CLIP;
}

int playback_tracks_choose(const struct kn_mkv_header *header, enum playback_container container,
                           struct playback_tracks *ret, struct kn_err *err)
{
    const struct kn_mkv_track *video = NULL, *audio = NULL;
    for (unsigned i = 0; i < header->track_count; i++) {
        const struct kn_mkv_track *track = &header->tracks[i];
        if (is_metadata(track))
            continue;
        enum playback_codec codec = codec_of(track);
        const struct kn_mkv_track **slot = track->type == KN_MKV_VIDEO ? &video : &audio;
        bool fits = track->type == KN_MKV_VIDEO
                        ? is_video_of(codec, container)
                        : track->type == KN_MKV_AUDIO && is_audio_of(codec, container);
        if (!fits || *slot || track->number == 0 || track->number > UINT8_MAX)
            return unsupported(header, err);
        *slot = track;
    }
    if (!is_pair_of(video, audio, container))
        return unsupported(header, err);
    struct playback_tracks tracks = {.scale_ns = header->timestamp_scale_ns};
    const struct kn_mkv_track *chosen[] = {video, audio};
    for (size_t i = 0; i < KN_ARRAY_LEN(chosen); i++) {
        if (!chosen[i])
            continue;
        struct playback_track *track = &tracks.items[tracks.count++];
        int r = playback_codec_parse(chosen[i], &track->info, err);
        if (r < 0)
            return r;
        track->number = tracks.count;
        track->mkv_number = (uint8_t) chosen[i]->number;
        track->default_duration_ns = chosen[i]->default_duration_ns;
    }
    *ret = tracks;
    return 0;
}

int playback_tracks_choose_some(const struct kn_mkv_header *header,
                                enum playback_container container, struct playback_tracks *ret,
                                struct kn_err *err)
{
    struct kn_mkv_header picture = *header;
    if (playback_tracks_choose(header, container, ret, NULL) == 0)
        return 0;
    picture.track_count = 0;
    for (unsigned i = 0; i < header->track_count; i++) {
        if (header->tracks[i].type == KN_MKV_VIDEO)
            picture.tracks[picture.track_count++] = header->tracks[i];
    }
    return playback_tracks_choose(picture.track_count > 0 ? &picture : header, container, ret, err);
}

const struct playback_track *playback_tracks_find(const struct playback_tracks *tracks,
                                                  uint64_t number)
{
    for (unsigned i = 0; i < tracks->count; i++)
        if (tracks->items[i].number == number)
            return &tracks->items[i];
    return NULL;
}

static unsigned kind_of(const struct playback_track *track)
{
    return playback_codec_is_audio(track->info.codec) ? PLAYBACK_SOUND : PLAYBACK_PICTURES;
}

unsigned playback_tracks_kinds(const struct playback_tracks *tracks)
{
    unsigned kinds = 0;
    for (unsigned i = 0; i < tracks->count; i++)
        kinds |= kind_of(&tracks->items[i]);
    return kinds;
}

void playback_tracks_keep(struct playback_tracks *tracks, unsigned kinds)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < tracks->count; i++) {
        struct playback_track track = tracks->items[i];
        if (!(kind_of(&track) & kinds))
            continue;
        track.number = kind_of(&track) == PLAYBACK_SOUND && kinds & PLAYBACK_PICTURES ? 2 : 1;
        tracks->items[kept++] = track;
    }
    tracks->count = kept;
}

bool playback_tracks_lend(struct playback_tracks *tracks, const struct playback_tracks *others)
{
    unsigned kinds = playback_tracks_kinds(tracks);
    struct playback_silence silence;
    for (unsigned i = 0; i < others->count && tracks->count < PLAYBACK_TRACKS_MAX; i++) {
        struct playback_track track = others->items[i];
        bool sound = kind_of(&track) == PLAYBACK_SOUND;
        if (kind_of(&track) & kinds || (sound && playback_aac_silence(&track.info, &silence) < 0))
            continue;
        track.number = sound ? 2 : 1;
        track.mkv_number = 0;
        if (!sound) /* pictures come first */
            tracks->items[tracks->count] = tracks->items[0];
        tracks->items[sound ? tracks->count : 0] = track;
        tracks->count++;
        return true;
    }
    return false;
}

uint64_t playback_tracks_hash(const struct playback_tracks *tracks)
{
    uint64_t hash = tracks->scale_ns;
    for (unsigned i = 0; i < tracks->count; i++) {
        const struct playback_codec_info *info = &tracks->items[i].info;
        uint32_t crc = kn_crc32c((uint32_t) info->codec, info->config);
        uint8_t more[4];
        kn_put_u32be(more, info->channels ^ (uint32_t) info->config.len << 8);
        hash = hash << 24 ^ hash >> 40 ^ kn_crc32c(crc, (struct kn_bytes){more, sizeof more});
    }
    return (hash & 0xffffffffffffu) | 1;
}
