/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes by path: exact ones in a hash table, prefixes (`/hls/` + `*`) in a short list, the longest
 * first, then the fallback. A path that is known with another method is 405 with Allow.
 */
#include <errno.h>

#include "core/buf.h"
#include "core/http.h"

enum {
    ROUTES_MAX = 1024,
    BUCKETS = 256,
    METHODS_PER_PATH_MAX = 8
};

struct route {
    struct kn_str method, path; /* path without the '*' */
    bool prefix;
    const struct kn_http_ops *ops;
    void *ctx;
    struct route *next; /* in the bucket, or in the list of prefixes */
};

struct kn_http_router {
    struct route *buckets[BUCKETS];
    struct route *prefixes; /* longest first */
    size_t count;
    const struct kn_http_ops *fallback;
    void *fallback_ctx;
};

static uint32_t hash(struct kn_str path) /* FNV-1a; the table is ours, peers cannot fill it */
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < path.len; i++)
        h = (h ^ (uint8_t) path.ptr[i]) * 16777619u;
    return h;
}

int kn_http_router_new(struct kn_http_router **ret)
{
    struct kn_http_router *router = calloc(1, sizeof(*router));
    if (!router)
        return -ENOMEM;
    *ret = router;
    return 0;
}

static void routes_free(struct route *route)
{
    while (route) {
        struct route *next = route->next;
        free(route);
        route = next;
    }
}

void kn_http_router_free(struct kn_http_router *router)
{
    if (!router)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        routes_free(router->buckets[i]);
    routes_free(router->prefixes);
    free(router);
}

int kn_http_router_add(struct kn_http_router *router, const char *method, const char *path,
                       const struct kn_http_ops *ops, void *ctx)
{
    size_t method_len = strlen(method), path_len = strlen(path);
    if (path_len == 0 || path[0] != '/' || method_len == 0)
        return -EINVAL;
    if (router->count == ROUTES_MAX)
        return -EDQUOT;
    struct route *route = calloc(1, sizeof(*route) + method_len + path_len);
    if (!route)
        return -ENOMEM;
    char *text = (char *) (route + 1);
    memcpy(text, method, method_len);
    memcpy(text + method_len, path, path_len);
    route->prefix = path[path_len - 1] == '*';
    route->method = (struct kn_str){text, method_len};
    route->path = (struct kn_str){text + method_len, path_len - (route->prefix ? 1 : 0)};
    route->ops = ops;
    route->ctx = ctx;

    struct route **at = &router->buckets[hash(route->path) % BUCKETS];
    if (route->prefix)
        for (at = &router->prefixes; *at && (*at)->path.len >= route->path.len;)
            at = &(*at)->next;
    route->next = *at;
    *at = route;
    router->count++;
    return 0;
}

void kn_http_router_fallback(struct kn_http_router *router, const struct kn_http_ops *ops,
                             void *ctx)
{
    router->fallback = ops;
    router->fallback_ctx = ctx;
}

static bool matches_path(const struct route *route, struct kn_str path)
{
    return route->prefix ? kn_str_starts_with(path, route->path) : kn_str_eq(path, route->path);
}

/* HEAD falls to GET's handler: the engine leaves the body out. */
static bool matches_method(const struct route *route, struct kn_str method)
{
    return kn_str_eq(route->method, method) ||
           (kn_str_eq(method, KN_STR("HEAD")) && kn_str_eq(route->method, KN_STR("GET")));
}

struct search {
    struct kn_str path, method;
    const struct route *found;
    struct kn_str allowed[METHODS_PER_PATH_MAX];
    size_t allowed_count;
};

static void search_list(struct search *s, const struct route *route)
{
    for (; route && !s->found; route = route->next) {
        if (!matches_path(route, s->path))
            continue;
        if (matches_method(route, s->method))
            s->found = route;
        else if (s->allowed_count < METHODS_PER_PATH_MAX)
            s->allowed[s->allowed_count++] = route->method;
    }
}

static void reply_not_allowed(struct kn_http_req *req, const struct search *s)
{
    char text[256];
    size_t len = 0;
    for (size_t i = 0; i < s->allowed_count; i++) {
        int n = snprintf(text + len, sizeof(text) - len, "%s" KN_STR_FMT, i ? ", " : "",
                         KN_STR_ARG(s->allowed[i]));
        if (n < 0 || (size_t) n >= sizeof(text) - len)
            break;
        len += (size_t) n;
    }
    const struct kn_http_header allow = {
        KN_STR("allow"), {text, len}
    };
    kn_http_reply(req, 405, &allow, 1, (struct kn_bytes){0});
}

static int router_head(struct kn_http_req *req, void **ctx)
{
    struct kn_http_router *router = *ctx;
    struct search s = {.path = kn_http_path(req), .method = kn_http_method(req)};
    search_list(&s, router->buckets[hash(s.path) % BUCKETS]);
    search_list(&s, router->prefixes);
    if (s.found)
        return kn_http_hand_over(req, s.found->ops, s.found->ctx);
    if (s.allowed_count > 0)
        reply_not_allowed(req, &s);
    else if (router->fallback)
        return kn_http_hand_over(req, router->fallback, router->fallback_ctx);
    else
        kn_http_reply(req, 404, NULL, 0, (struct kn_bytes){0});
    return 0;
}

const struct kn_http_ops kn_http_router_ops = {.head = router_head};
