/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page's files. Each has a strong ETag of its content and is revalidated, so a new binary is
 * seen at once and an old page costs 304. The policy lets the page talk to this host's listeners
 * only, and lets no other page frame it.
 */
#include "console_assets.h"

#include "console_call.h"

static const struct console_asset *asset_find(struct kn_str path)
{
    if (kn_str_eq(path, KN_STR("/")))
        path = KN_STR("/index.html");
    for (size_t i = 0; i < console_asset_count; i++)
        if (kn_str_eq(console_assets[i].path, path))
            return &console_assets[i];
    return NULL;
}

/* "a, b;q=0.5": is the token in the list, and not with q=0? */
static bool list_has(struct kn_str list, struct kn_str token)
{
    while (list.ptr && list.len > 0) {
        struct kn_str item, name;
        list = kn_str_cut(list, ',', &item);
        struct kn_str rest = kn_str_trim(kn_str_cut(kn_str_trim(item), ';', &name));
        if (kn_str_eq_nocase(kn_str_trim(name), token))
            return !kn_str_eq(rest, KN_STR("q=0")) && !kn_str_eq(rest, KN_STR("q=0.0"));
    }
    return false;
}

/* Media comes from the api listener of the same host, on a port (or public address) of its own. */
static struct kn_str policy(const struct server_console *console, struct kn_http_req *req)
{
    struct console_call call = {.host = kn_http_header(req, "host"), .arena = kn_http_arena(req)};
    call.console = (struct server_console *) (uintptr_t) console;
    struct kn_str api = console_api_url(&call);
    return kn_arena_printf(kn_http_arena(req),
                           "default-src 'none'; script-src 'self' blob:; worker-src 'self' blob:; "
                           "style-src 'self'; img-src 'self' data: blob:; "
                           "connect-src 'self' " KN_STR_FMT "; media-src 'self' blob: " KN_STR_FMT
                           "; "
                           "manifest-src 'self'; base-uri 'none'; form-action 'self'; "
                           "frame-ancestors 'none'",
                           KN_STR_ARG(api), KN_STR_ARG(api));
}

bool console_asset_reply(const struct server_console *console, struct kn_http_req *req)
{
    const struct console_asset *asset = asset_find(kn_http_path(req));
    struct kn_str method = kn_http_method(req);
    if (!asset || (!kn_str_eq(method, KN_STR("GET")) && !kn_str_eq(method, KN_STR("HEAD"))))
        return false;
    struct kn_str wanted = kn_http_header(req, "if-none-match");
    bool same = wanted.ptr && (list_has(wanted, asset->etag) || kn_str_eq(wanted, KN_STR("*")));
    bool gzip =
        asset->gzip.len > 0 && list_has(kn_http_header(req, "accept-encoding"), KN_STR("gzip"));
    const struct kn_http_header headers[] = {
        {KN_STR_INIT("content-type"),            asset->type                   },
        {KN_STR_INIT("etag"),                    asset->etag                   },
        {KN_STR_INIT("cache-control"),           KN_STR_INIT("no-cache")       },
        {KN_STR_INIT("vary"),                    KN_STR_INIT("accept-encoding")},
        {KN_STR_INIT("content-security-policy"), policy(console,                 req)},
        {KN_STR_INIT("x-content-type-options"),                                      KN_STR_INIT("nosniff")                               },
        {KN_STR_INIT("referrer-policy"),                                      KN_STR_INIT("no-referrer")       },
        {KN_STR_INIT("cross-origin-opener-policy"),                                      KN_STR_INIT("same-origin")                    },
        {KN_STR_INIT("content-encoding"),                                      KN_STR_INIT("gzip")                 },
    };
    size_t count = KN_ARRAY_LEN(headers) - (gzip && !same ? 0 : 1);
    kn_http_reply(req, same ? 304 : 200, headers, count,
                  same   ? (struct kn_bytes){0}
                  : gzip ? asset->gzip
                         : asset->plain);
    return true;
}
