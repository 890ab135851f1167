/* SPDX-License-Identifier: Apache-2.0 */
#include "url.h"

#include <glib.h>

char *camera_url_control(const char *base, struct kn_str control)
{
    if (control.len == 0 || kn_str_eq(control, KN_STR("*")))
        return g_strdup(base);
    if (kn_str_starts_with(control, KN_STR("rtsp://")) ||
        kn_str_starts_with(control, KN_STR("rtsps://")))
        return g_strndup(control.ptr, control.len);
    return g_strdup_printf("%s%s%.*s", base, g_str_has_suffix(base, "/") ? "" : "/",
                           (int) control.len, control.ptr);
}

char *camera_url_authority(const char *url)
{
    const char *start = strstr(url, "://");
    start = start ? start + 3 : url;
    return g_strndup(start, strcspn(start, "/?#"));
}

char *camera_url_host(const char *authority)
{
    const char *end = *authority == '[' ? strchr(authority, ']') : strchr(authority, ':');
    if (*authority == '[' && end)
        return g_strndup(authority + 1, (size_t) (end - authority - 1));
    return end ? g_strndup(authority, (size_t) (end - authority)) : g_strdup(authority);
}
