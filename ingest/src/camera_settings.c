/* SPDX-License-Identifier: Apache-2.0 */
#include "camera_settings.h"

#include "core/crypto.h"

const char *ingest_camera_transport_name(enum ingest_camera_transport transport)
{
    static const char *const names[] = {[INGEST_CAMERA_AUTO] = "auto",
                                        [INGEST_CAMERA_UDP] = "udp",
                                        [INGEST_CAMERA_TCP] = "tcp",
                                        [INGEST_CAMERA_HTTP] = "http"};
    return names[transport];
}

/* --- URLs ------------------------------------------------------------------------------------- */
static int unescape(struct kn_str text, char *dst, size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t) text.ptr[i];
        if (byte == '%' && (i + 2 >= text.len ||
                            kn_hex_decode((struct kn_str){text.ptr + i + 1, 2}, &byte, 1) < 0))
            return -EINVAL;
        i += text.ptr[i] == '%' ? 2 : 0;
        if (len + 1 >= cap || byte == 0)
            return -EINVAL;
        dst[len++] = (char) byte;
    }
    dst[len] = '\0';
    return 0;
}

static bool is_plain(struct kn_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f)
            return false;
    }
    return true;
}

/* The last @ before the path: passwords with an @ in them are common, and seldom escaped. */
static struct kn_str cut_credentials(struct kn_str rest, struct kn_str *ret_credentials)
{
    struct kn_str authority;
    (void) kn_str_cut(rest, '/', &authority);
    size_t at = authority.len;
    while (at > 0 && authority.ptr[at - 1] != '@')
        at--;
    *ret_credentials = (struct kn_str){rest.ptr, at > 0 ? at - 1 : 0};
    return at > 0 ? kn_str_skip(rest, at) : rest;
}

/* --- of files --------------------------------------------------------------------------------- */
#define FILE_SCHEME "file://"

bool ingest_camera_is_file(const struct ingest_camera_source *source)
{
    return kn_str_starts_with(kn_str_from(source->url), KN_STR(FILE_SCHEME));
}

/* No step of a whole path leads up, or nowhere. */
static bool goes_down(const char *path)
{
    for (const char *at = path; *at == '/';) {
        struct kn_str step = {at + 1, strcspn(at + 1, "/")};
        at = step.ptr + step.len;
        if ((step.len == 0 && *at) || kn_str_eq(step, KN_STR(".")) || kn_str_eq(step, KN_STR("..")))
            return false;
    }
    return true;
}

static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    while (len > 0 && folder[len - 1] == '/')
        len--;
    return !strncmp(path, folder, len) && (path[len] == '/' || !path[len]);
}

static int file_url(struct kn_str url, const char *files, struct ingest_camera_source *dst,
                    struct kn_err *err)
{
    char path[INGEST_CAMERA_URL_BYTES_MAX + 1];
    struct kn_str escaped = kn_str_skip(url, strlen(FILE_SCHEME));
    if (!files)
        return kn_fail(err, -EINVAL,
                       "files are played where the server's setting camera_files names their "
                       "folder, and it names none");
    if (kn_str_copy(dst->url, sizeof dst->url, url) < 0)
        return kn_fail(err, -EINVAL, "a camera's URL has at most %d characters",
                       INGEST_CAMERA_URL_BYTES_MAX);
    if (escaped.len == 0 || escaped.ptr[0] != '/' || !is_plain(escaped) ||
        memchr(escaped.ptr, '?', escaped.len) || memchr(escaped.ptr, '#', escaped.len) ||
        unescape(escaped, path, sizeof path) < 0 || !goes_down(path))
        return kn_fail(err, -EINVAL,
                       "a file's URL is file:// and a whole path, without . and .., and with "
                       "blanks, ?, # and %% escaped: %%20");
    if (!is_below(path, files))
        return kn_fail(err, -EINVAL, "files are played from %.150s alone (camera_files)", files);
    return 0;
}

int ingest_camera_url(struct kn_str url, const char *files, struct ingest_camera_source *dst,
                      struct kn_err *err)
{
    static const char *const schemes[] = {"rtsp://", "rtsps://"};
    const char *scheme = NULL;
    for (size_t i = 0; i < KN_ARRAY_LEN(schemes); i++) {
        if (kn_str_starts_with(url, kn_str_from(schemes[i])))
            scheme = schemes[i];
    }
    if (kn_str_starts_with(url, KN_STR(FILE_SCHEME)))
        return file_url(url, files, dst, err);
    if (!scheme)
        return kn_fail(err, -EINVAL,
                       "a camera's URL begins with rtsp://, rtsps:// or file://, as in "
                       "rtsp://10.0.0.20/stream1");
    struct kn_str credentials, user;
    struct kn_str rest = cut_credentials(kn_str_skip(url, strlen(scheme)), &credentials);
    struct kn_str password = kn_str_cut(credentials, ':', &user);
    if (rest.len == 0 || memchr("/:?#", rest.ptr[0], 4) || !is_plain(rest))
        return kn_fail(err, -EINVAL, "a camera's URL has a host, and no blanks");
    int n = snprintf(dst->url, sizeof dst->url, "%s" KN_STR_FMT, scheme, KN_STR_ARG(rest));
    if (n < 0 || (size_t) n >= sizeof dst->url)
        return kn_fail(err, -EINVAL, "a camera's URL has at most %d characters",
                       INGEST_CAMERA_URL_BYTES_MAX);
    if (unescape(user, dst->user, sizeof dst->user) < 0 ||
        unescape(password, dst->password, sizeof dst->password) < 0)
        return kn_fail(err, -EINVAL, "user or password in the URL is too long, or wrongly escaped");
    return 0;
}

struct kn_str ingest_camera_url_shown(const struct ingest_camera_source *source)
{
    struct kn_str shown;
    (void) kn_str_cut(kn_str_from(source->url), '?', &shown); /* often ?user=…&password=… */
    return shown;
}

struct kn_str ingest_camera_secret_name(struct kn_str arn)
{
    size_t at = arn.len;
    while (at > 0 && arn.ptr[at - 1] != ':')
        at--;
    return kn_str_skip(arn, at);
}

int ingest_camera_times_set(struct ingest_camera_times *times, struct kn_str expression,
                            uint32_t duration_s, int64_t now_s, struct kn_err *err)
{
    struct ingest_schedule schedule;
    int r = ingest_schedule_parse(expression, duration_s, &schedule, err);
    if (r < 0)
        return r;
    if (ingest_schedule_next(&schedule, now_s - (int64_t) duration_s + 1) == INT64_MAX)
        return kn_fail(err, -EINVAL, "it never begins again");
    times->duration_s = duration_s;
    return kn_str_copy(times->expression, sizeof times->expression, expression);
}
