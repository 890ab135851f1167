/* SPDX-License-Identifier: Apache-2.0 */
#include "rtp.h"

#include <errno.h>

#include "core/bits.h"
#include "core/crypto.h"

enum {
    RTP_HEAD_BYTES = 12,
    MEDIA_PRIVATE_BYTES_MAX = 64 << 10,
    SPROP_BYTES_MAX = 8192,
    BACKWARDS = 0x8000, /* further ahead than that is behind */
    STAP_A = 24,        /* RFC 6184, table 1 */
    FU_A = 28,
    AP = 48, /* RFC 7798, 4.4 */
    FU = 49,
    AAC_UNITS_MAX = 64, /* in a packet */
    WAVE_ALAW = 6,      /* mmreg.h */
    WAVE_MULAW = 7,
};

/* --- tracks of sound -------------------------------------------------------------------------- */
static void describe_audio(struct camera_rtp *rtp, const char *id, unsigned hz, unsigned channels)
{
    rtp->track = (struct kn_mkv_track){.type = KN_MKV_AUDIO,
                                       .sampling_hz = hz,
                                       .channels = channels,
                                       .codec_private = kn_buf_bytes(&rtp->private)};
    (void) !kn_str_copy(rtp->track.codec_id, sizeof rtp->track.codec_id, kn_str_from(id));
    rtp->described = rtp->private.error == 0;
    if (rtp->described)
        rtp->ops->described(rtp->ctx);
}

/* A WAVEFORMATEX, as A_MS/ACM has it. */
static void describe_g711(struct camera_rtp *rtp, unsigned channels)
{
    uint8_t bytes[18] = {rtp->codec == CAMERA_PCMA ? WAVE_ALAW : WAVE_MULAW, 0, (uint8_t) channels};
    kn_put_u32le(bytes + 4, rtp->hz);
    kn_put_u32le(bytes + 8, rtp->hz * channels); /* a byte a sample */
    bytes[12] = (uint8_t) channels;
    bytes[14] = 8;
    (void) kn_buf_append(&rtp->private, bytes, sizeof bytes);
    describe_audio(rtp, "A_MS/ACM", rtp->hz, channels);
}

/* RFC 7845, 5.1; whether it is stereo stands in the first byte of a packet (RFC 6716, 3.1). */
static void describe_opus(struct camera_rtp *rtp, struct kn_bytes payload)
{
    uint8_t head[19] = "OpusHead";
    head[8] = 1;
    head[9] = payload.ptr[0] & 4 ? 2 : 1;
    kn_put_u32le(head + 12, 48000);
    (void) kn_buf_append(&rtp->private, head, sizeof head);
    describe_audio(rtp, "A_OPUS", 48000, head[9]);
}

static void describe_metadata(struct camera_rtp *rtp)
{
    rtp->track = (struct kn_mkv_track){.type = KN_MKV_OTHER, .codec_id = CAMERA_METADATA_CODEC_ID};
    rtp->described = true;
    rtp->ops->described(rtp->ctx);
}

static uint32_t read_aac_hz(struct kn_bits *b)
{
    static const uint32_t rates[] = {96000, 88200, 64000, 48000, 44100, 32000, 24000,
                                     22050, 16000, 12000, 11025, 8000,  7350};
    uint32_t index = kn_bits_read(b, 4);
    return index == 15 ? kn_bits_read(b, 24) : index < KN_ARRAY_LEN(rates) ? rates[index] : 0;
}

/* AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1): what a frame lasts, and the track. */
static int read_aac_config(struct camera_rtp *rtp, uint32_t *ret_hz, uint32_t *ret_channels)
{
    static const uint8_t channels[] = {0, 1, 2, 3, 4, 5, 6, 8};
    struct kn_bits b;
    kn_bits_init(&b, kn_buf_bytes(&rtp->private), false);
    uint32_t type = kn_bits_read(&b, 5);
    uint32_t hz = read_aac_hz(&b), layout = kn_bits_read(&b, 4);
    if (type == 5 || type == 29) { /* SBR: twice as many samples come out */
        (void) read_aac_hz(&b);
        type = kn_bits_read(&b, 5);
    }
    uint32_t samples = kn_bits_read(&b, 1) ? 960 : 1024;
    if (b.overrun || hz == 0 || layout >= KN_ARRAY_LEN(channels) || layout == 0 || type == 31)
        return -ENOTSUP;
    rtp->unit_samples = (unsigned) ((uint64_t) samples * rtp->hz / hz);
    *ret_hz = hz;
    *ret_channels = channels[layout];
    return 0;
}

static unsigned fmtp_number(struct kn_str fmtp, struct kn_str name)
{
    uint64_t number;
    return kn_str_to_u64(camera_fmtp(fmtp, name), 64, &number) == 0 ? (unsigned) number : 0;
}

static int init_aac(struct camera_rtp *rtp, const struct camera_media *media)
{
    struct kn_str config = camera_fmtp(media->fmtp, KN_STR("config"));
    uint8_t bytes[64];
    uint32_t hz, channels;
    rtp->size_bits = fmtp_number(media->fmtp, KN_STR("sizelength"));
    rtp->index_bits = fmtp_number(media->fmtp, KN_STR("indexlength"));
    if (config.len / 2 > sizeof bytes || kn_hex_decode(config, bytes, config.len / 2) < 0 ||
        rtp->size_bits == 0 || rtp->size_bits + rtp->index_bits > 32 ||
        rtp->index_bits != fmtp_number(media->fmtp, KN_STR("indexdeltalength")))
        return -ENOTSUP;
    (void) kn_buf_append(&rtp->private, bytes, config.len / 2);
    int r = read_aac_config(rtp, &hz, &channels);
    if (r == 0)
        describe_audio(rtp, "A_AAC", hz, channels);
    return r;
}

/* --- pictures --------------------------------------------------------------------------------- */
static bool is_picture(const struct camera_rtp *rtp)
{
    return rtp->codec <= CAMERA_H265;
}

static void forget_frame(struct camera_rtp *rtp)
{
    kn_buf_clear(&rtp->frame);
    rtp->begun = rtp->broken = rtp->picture = rtp->first = rtp->key = false;
    rtp->recovery = rtp->intra = rtp->in_fragment = false;
}

static void describe_picture(struct camera_rtp *rtp)
{
    struct kn_mkv_track track;
    struct kn_buf private;
    kn_buf_init(&private, MEDIA_PRIVATE_BYTES_MAX);
    bool good = nal_sets_describe(&rtp->sets, &track, &private) == 0;
    bool same = good && rtp->described && private.len == rtp->private.len &&
                !memcmp(private.ptr, rtp->private.ptr, private.len);
    if (!good || same) {
        kn_buf_done(&private);
        return;
    }
    kn_buf_done(&rtp->private);
    rtp->private = private;
    rtp->track = track;
    rtp->described = true;
    rtp->ops->described(rtp->ctx);
}

/* All of a picture is there, or will never be. */
static void end_frame(struct camera_rtp *rtp)
{
    if (rtp->sets.changed)
        describe_picture(rtp);
    bool whole = !rtp->broken && rtp->first && !rtp->in_fragment && rtp->frame.error == 0;
    if (rtp->begun && (rtp->picture || rtp->broken)) {
        rtp->damaged += whole ? 0 : 1;
        rtp->given = true;
        rtp->given_time = rtp->time;
        if (whole && rtp->described)
            rtp->ops->frame(rtp->ctx, rtp->time, rtp->key || (rtp->recovery && rtp->intra),
                            kn_buf_bytes(&rtp->frame));
    }
    forget_frame(rtp);
}

/* A whole unit, or a fragmented one whose last part has come: it lies at the end of the frame. */
static void look_at_unit(struct camera_rtp *rtp, size_t at)
{
    struct kn_bytes nal = kn_bytes_skip(kn_buf_bytes(&rtp->frame), at + 4);
    struct nal_facts facts = nal_look(rtp->codec == CAMERA_H265, nal);
    if (rtp->frame.error || nal.len == 0)
        return;
    if (facts.set) {
        nal_sets_put(&rtp->sets, nal);
        rtp->frame.len = at;
        return;
    }
    kn_put_u32be(rtp->frame.ptr + at, (uint32_t) nal.len);
    /* A camera that marks the end of each slice, not of each picture, ends pictures by their
     * time. */
    if (facts.picture && !facts.first && !rtp->picture && rtp->given &&
        rtp->given_time == rtp->time)
        rtp->marks_slices = true;
    if (facts.picture && !rtp->picture)
        rtp->first = facts.first;
    rtp->picture |= facts.picture;
    rtp->key |= facts.key;
    rtp->recovery |= facts.recovery;
    rtp->intra |= facts.intra;
}

static void begin_unit(struct camera_rtp *rtp)
{
    rtp->unit_at = rtp->frame.len;
    (void) kn_buf_append(&rtp->frame, (const uint8_t[4]){0}, 4); /* its length */
}

/* None comes between the parts of another (RFC 6184, 5.8). */
static void take_unit(struct camera_rtp *rtp, struct kn_bytes nal)
{
    rtp->broken |= rtp->in_fragment;
    rtp->in_fragment = false;
    if (nal.len == 0)
        return;
    begin_unit(rtp);
    (void) kn_buf_append(&rtp->frame, nal.ptr, nal.len);
    look_at_unit(rtp, rtp->unit_at);
}

/* STAP-A and AP: units with lengths of two bytes. */
static void take_units(struct camera_rtp *rtp, struct kn_bytes payload)
{
    struct kn_reader r = kn_reader_of(payload);
    uint16_t len;
    struct kn_bytes nal;
    while (kn_read_u16be(&r, &len) == 0 && kn_read_bytes(&r, len, &nal) == 0)
        take_unit(rtp, nal);
}

/* A part of a unit: head is the unit's own header. */
static void take_part(struct camera_rtp *rtp, struct kn_bytes head, bool start, bool end,
                      struct kn_bytes part)
{
    if (start) {
        rtp->broken |= rtp->in_fragment;
        rtp->in_fragment = true;
        begin_unit(rtp);
        (void) kn_buf_append(&rtp->frame, head.ptr, head.len);
    } else if (!rtp->in_fragment) {
        rtp->broken = true;
        return;
    }
    (void) kn_buf_append(&rtp->frame, part.ptr, part.len);
    if (!end)
        return;
    rtp->in_fragment = false;
    look_at_unit(rtp, rtp->unit_at);
}

static void take_h264(struct camera_rtp *rtp, struct kn_bytes payload)
{
    unsigned kind = payload.ptr[0] & 31;
    if (kind == STAP_A) {
        take_units(rtp, kn_bytes_skip(payload, 1));
    } else if (kind == FU_A && payload.len > 2) {
        uint8_t flags = payload.ptr[1], head = (uint8_t) ((payload.ptr[0] & 0xe0) | (flags & 31));
        take_part(rtp, (struct kn_bytes){&head, 1}, flags & 0x80, flags & 0x40,
                  kn_bytes_skip(payload, 2));
    } else if (kind > 0 && kind < STAP_A) {
        take_unit(rtp, payload);
    }
}

static void take_h265(struct camera_rtp *rtp, struct kn_bytes payload)
{
    unsigned kind = payload.ptr[0] >> 1 & 63;
    if (payload.len < 3)
        return;
    if (kind == AP) {
        take_units(rtp, kn_bytes_skip(payload, 2));
    } else if (kind == FU && payload.len > 3) {
        uint8_t flags = payload.ptr[2];
        const uint8_t head[] = {(uint8_t) ((payload.ptr[0] & 0x81) | (flags & 63) << 1),
                                payload.ptr[1]};
        take_part(rtp, (struct kn_bytes){head, sizeof head}, flags & 0x80, flags & 0x40,
                  kn_bytes_skip(payload, 3));
    } else if (kind < AP) {
        take_unit(rtp, payload);
    }
}

static void take_picture(struct camera_rtp *rtp, struct kn_bytes payload, bool marker)
{
    if (rtp->codec == CAMERA_H264)
        take_h264(rtp, payload);
    else
        take_h265(rtp, payload);
    if (marker && !rtp->marks_slices && (rtp->picture || rtp->broken))
        end_frame(rtp);
}

/* --- sound ------------------------------------------------------------------------------------ */
/* RFC 3640, 3.3.6: sizes of the units, then the units. One that is larger than a packet comes in
 * several, the last of which has the marker. */
static void take_aac(struct camera_rtp *rtp, struct kn_bytes payload, bool marker)
{
    struct kn_reader r = kn_reader_of(payload);
    struct kn_bytes sizes;
    struct kn_bits b;
    uint16_t bits;
    if (kn_read_u16be(&r, &bits) < 0 || kn_read_bytes(&r, (bits + 7u) / 8, &sizes) < 0)
        return;
    unsigned each = rtp->size_bits + rtp->index_bits, count = bits / each;
    kn_bits_init(&b, sizes, false);
    for (unsigned i = 0; i < count && i < AAC_UNITS_MAX; i++) {
        uint32_t size = kn_bits_read(&b, rtp->size_bits);
        struct kn_bytes unit = {r.at, kn_min_u64(size, kn_reader_left(&r))};
        r.at += unit.len;
        kn_bits_skip(&b, rtp->index_bits);
        if (count == 1 && unit.len < size) {
            rtp->begun = true;
            (void) kn_buf_append(&rtp->frame, unit.ptr, unit.len);
            if (marker && rtp->frame.len == size && !rtp->broken)
                rtp->ops->frame(rtp->ctx, rtp->time, true, kn_buf_bytes(&rtp->frame));
            if (marker || rtp->frame.len >= size)
                forget_frame(rtp);
        } else if (unit.len == size && size > 0) {
            rtp->ops->frame(rtp->ctx, rtp->time + i * rtp->unit_samples, true, unit);
        }
    }
    if (marker)
        forget_frame(rtp);
}

/* ONVIF's Streaming Specification, 5.1.2.1.1: the last packet of a document has the marker. */
static void take_metadata(struct camera_rtp *rtp, uint32_t time, struct kn_bytes payload,
                          bool marker)
{
    if (!rtp->begun)
        rtp->time = time;
    rtp->begun = true;
    (void) kn_buf_append(&rtp->frame, payload.ptr, payload.len);
    if (!marker)
        return;
    bool whole = !rtp->broken && rtp->frame.error == 0;
    rtp->damaged += whole ? 0 : 1;
    if (whole)
        rtp->ops->frame(rtp->ctx, rtp->time, true, kn_buf_bytes(&rtp->frame));
    forget_frame(rtp);
}

static void take_sound(struct camera_rtp *rtp, struct kn_bytes payload, bool marker)
{
    if (rtp->codec == CAMERA_AAC) {
        take_aac(rtp, payload, marker);
        return;
    }
    if (rtp->codec == CAMERA_OPUS && !rtp->described)
        describe_opus(rtp, payload);
    if (rtp->described)
        rtp->ops->frame(rtp->ctx, rtp->time, true, payload);
}

/* --- packets ---------------------------------------------------------------------------------- */
/* The payload, without what pads and extends it. */
static bool read_head(const struct camera_rtp *rtp, struct kn_bytes packet, struct kn_bytes *ret)
{
    if (packet.len < RTP_HEAD_BYTES || packet.ptr[0] >> 6 != 2 ||
        (packet.ptr[1] & 0x7f) != rtp->payload_type)
        return false;
    size_t head = RTP_HEAD_BYTES + 4u * (packet.ptr[0] & 15), padding = 0;
    if (packet.ptr[0] & 0x10) {
        if (packet.len < head + 4)
            return false;
        head += 4 + 4 * ((size_t) packet.ptr[head + 2] << 8 | packet.ptr[head + 3]);
    }
    if (packet.ptr[0] & 0x20)
        padding = packet.ptr[packet.len - 1];
    if (packet.len <= head + padding)
        return false;
    *ret = (struct kn_bytes){packet.ptr + head, packet.len - head - padding};
    return true;
}

/* False: a packet of before. A sender that has begun anew is believed at its second packet (RFC
 * 3550, A.1). */
static bool in_order(struct camera_rtp *rtp, uint16_t sequence)
{
    uint16_t ahead = (uint16_t) (sequence - rtp->next);
    if (rtp->packets > 0 && ahead >= BACKWARDS && sequence != rtp->bad) {
        rtp->bad = (uint16_t) (sequence + 1);
        return false;
    }
    if (rtp->packets > 0 && ahead > 0) {
        rtp->lost += ahead < BACKWARDS ? ahead : 0;
        rtp->broken |= rtp->begun || rtp->codec == CAMERA_METADATA; /* its start may be lost */
        rtp->in_fragment = false;
    }
    rtp->cycles = (uint16_t) (rtp->cycles + (rtp->packets > 0 && sequence < rtp->highest));
    rtp->highest = sequence;
    rtp->next = (uint16_t) (sequence + 1);
    rtp->packets++;
    return true;
}

void camera_rtp_packet(struct camera_rtp *rtp, struct kn_bytes packet)
{
    struct kn_bytes payload;
    struct kn_reader r = kn_reader_of(packet);
    uint16_t flags, sequence;
    uint32_t time, ssrc;
    if (!read_head(rtp, packet, &payload) || kn_read_u16be(&r, &flags) < 0 ||
        kn_read_u16be(&r, &sequence) < 0 || kn_read_u32be(&r, &time) < 0 ||
        kn_read_u32be(&r, &ssrc) < 0 || !in_order(rtp, sequence))
        return;
    rtp->ssrc = ssrc;
    bool marker = flags & 0x80;
    if (is_picture(rtp)) {
        if (rtp->begun && rtp->time != time)
            end_frame(rtp);
        rtp->time = time;
        rtp->begun = true;
        take_picture(rtp, payload, marker);
    } else if (rtp->codec == CAMERA_METADATA) {
        take_metadata(rtp, time, payload, marker);
    } else {
        if (rtp->time != time)
            forget_frame(rtp);
        rtp->time = time;
        take_sound(rtp, payload, marker);
    }
}

/* --- life ------------------------------------------------------------------------------------- */
static void put_sprop(struct camera_rtp *rtp, struct kn_str list)
{
    while (list.len > 0) {
        struct kn_str one;
        struct kn_buf nal;
        list = kn_str_cut(list, ',', &one);
        kn_buf_init(&nal, SPROP_BYTES_MAX);
        if (camera_base64(one, &nal) == 0 && nal_look(rtp->sets.h265, kn_buf_bytes(&nal)).set)
            nal_sets_put(&rtp->sets, kn_buf_bytes(&nal));
        kn_buf_done(&nal);
    }
}

static int init_picture(struct camera_rtp *rtp, const struct camera_media *media)
{
    if (fmtp_number(media->fmtp, KN_STR("sprop-max-don-diff")) > 0)
        return -ENOTSUP; /* units in another order than decoded */
    nal_sets_init(&rtp->sets, rtp->codec == CAMERA_H265);
    put_sprop(rtp, camera_fmtp(media->fmtp, KN_STR("sprop-parameter-sets")));
    put_sprop(rtp, camera_fmtp(media->fmtp, KN_STR("sprop-vps")));
    put_sprop(rtp, camera_fmtp(media->fmtp, KN_STR("sprop-sps")));
    put_sprop(rtp, camera_fmtp(media->fmtp, KN_STR("sprop-pps")));
    if (rtp->sets.changed)
        describe_picture(rtp);
    return 0;
}

static int codec_of(const struct camera_media *media, enum camera_codec *ret)
{
    static const struct {
        struct kn_str media, encoding;
        enum camera_codec codec;
    } known[] = {
        {KN_STR_INIT("video"),       KN_STR_INIT("H264"),                   CAMERA_H264    },
        {KN_STR_INIT("video"),       KN_STR_INIT("H265"),                   CAMERA_H265    },
        {KN_STR_INIT("audio"),       KN_STR_INIT("MPEG4-GENERIC"),          CAMERA_AAC     },
        {KN_STR_INIT("audio"),       KN_STR_INIT("PCMU"),                   CAMERA_PCMU    },
        {KN_STR_INIT("audio"),       KN_STR_INIT("PCMA"),                   CAMERA_PCMA    },
        {KN_STR_INIT("audio"),       KN_STR_INIT("OPUS"),                   CAMERA_OPUS    },
        {KN_STR_INIT("application"), KN_STR_INIT(CAMERA_METADATA_ENCODING), CAMERA_METADATA},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(known); i++) {
        if (kn_str_eq(media->media, known[i].media) &&
            kn_str_eq_nocase(media->encoding, known[i].encoding)) {
            *ret = known[i].codec;
            return 0;
        }
    }
    return -ENOTSUP;
}

int camera_rtp_init(struct camera_rtp *rtp, const struct camera_media *media,
                    const struct camera_rtp_ops *ops, void *ctx)
{
    *rtp = (struct camera_rtp){
        .ops = ops, .ctx = ctx, .payload_type = media->payload_type, .hz = media->hz};
    int r = codec_of(media, &rtp->codec);
    if (r < 0 || media->hz == 0)
        return -ENOTSUP;
    kn_buf_init(&rtp->private, MEDIA_PRIVATE_BYTES_MAX);
    kn_buf_init(&rtp->frame, rtp->codec == CAMERA_METADATA ? CAMERA_RTP_DOCUMENT_BYTES_MAX
                                                           : CAMERA_RTP_FRAME_BYTES_MAX);
    if (is_picture(rtp))
        r = init_picture(rtp, media);
    else if (rtp->codec == CAMERA_AAC)
        r = init_aac(rtp, media);
    else if (rtp->codec == CAMERA_METADATA)
        describe_metadata(rtp);
    else if (rtp->codec != CAMERA_OPUS)
        describe_g711(rtp, media->channels ? media->channels : 1);
    if (r < 0)
        camera_rtp_done(rtp);
    return r;
}

void camera_rtp_done(struct camera_rtp *rtp)
{
    nal_sets_done(&rtp->sets);
    kn_buf_done(&rtp->private);
    kn_buf_done(&rtp->frame);
}
