/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stranger can put into a session's URL. Byte 0 chooses: a token as text; a token's inside,
 * sealed by us, so that the decoder behind the cipher is reached; a Range header; an H.264 access
 * unit on its way to TS.
 */
#include "core/crypto.h"
#include "session/media.h"
#include "ts/annexb.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct playback_session_key key = {
    {1, 2, 3}
};

static void check_token(struct kn_str token)
{
    struct playback_session session, again;
    if (playback_session_open(&key, token, &session) < 0)
        return;
    struct kn_buf text;
    kn_buf_init(&text, PLAYBACK_TOKEN_BYTES_MAX);
    kn_assert(playback_session_seal(&key, &session, &text) == 0);
    kn_assert(playback_session_open(&key, kn_buf_str(&text), &again) == 0);
    kn_assert(again.from_ms == session.from_ms && again.expires_ms == session.expires_ms &&
              again.mode == session.mode && again.results_max == session.results_max);
    kn_buf_done(&text);
}

static void check_sealed(struct kn_bytes plain)
{
    struct kn_buf sealed, text;
    kn_buf_init(&sealed, PLAYBACK_TOKEN_BYTES_MAX);
    kn_buf_init(&text, PLAYBACK_TOKEN_BYTES_MAX);
    if (kn_aead_seal(key.bytes, plain, kn_bytes_of(KN_STR("kinema playback session")), &sealed) ==
            0 &&
        kn_base64_encode(kn_buf_bytes(&sealed), true, &text) == 0)
        check_token(kn_buf_str(&text));
    kn_buf_done(&sealed);
    kn_buf_done(&text);
}

static void check_range(struct kn_str header)
{
    static const uint64_t sizes[] = {1, 2, 1000, UINT64_MAX};
    for (size_t i = 0; i < KN_ARRAY_LEN(sizes); i++) {
        uint64_t from = 0, to = sizes[i];
        int r = playback_media_range(header, sizes[i], &from, &to);
        kn_assert(r == 1 || (from == 0 && to == sizes[i]));
        kn_assert(r != 1 || (from < to && to <= sizes[i]));
    }
}

static void check_annexb(struct kn_bytes frame)
{
    struct playback_parameter_sets sets = {.count = 1, .items = {{(const uint8_t *) "\x67x", 2}}};
    for (unsigned length_bytes = 1; length_bytes <= 4; length_bytes++) {
        struct kn_buf out;
        kn_buf_init(&out, 6 * frame.len + 64); /* a unit of one byte grows to five */
        int r = playback_annexb_append(&out, frame, length_bytes, &sets, true);
        kn_assert(r == 0 || r == -EBADMSG);
        kn_buf_done(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (!len)
        return 0;
    struct kn_bytes rest = {bytes + 1, len - 1};
    switch (bytes[0] % 4) {
    case 0:
        check_token(kn_str_of(rest));
        break;
    case 1:
        check_sealed(rest);
        break;
    case 2:
        check_range(kn_str_of(rest));
        break;
    default:
        check_annexb(rest);
    }
    return 0;
}
