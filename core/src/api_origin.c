/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Without signatures, any page in the user's browser could post here: browsers then name the page
 * in Origin, and a name that was re-bound to this address in Host (rules.md 29). Both must be ours:
 * an address, localhost, or a name the settings allow.
 */
#include "api_private.h"

static struct kn_str without_port(struct kn_str authority)
{
    struct kn_str host;
    if (authority.len && authority.ptr[0] == '[') {
        const char *end = memchr(authority.ptr, ']', authority.len);
        return end ? (struct kn_str){authority.ptr, (size_t) (end - authority.ptr) + 1} : authority;
    }
    (void) kn_str_cut(authority, ':', &host);
    return host;
}

static bool is_address(struct kn_str host)
{
    bool v6 = host.len && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool fits = (c >= '0' && c <= '9') || c == '.' ||
                    (v6 && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
                            c == '[' || c == ']'));
        if (!fits)
            return false;
    }
    return host.len;
}

bool kn_api_is_own_host(struct kn_str authority, const char *allowed)
{
    struct kn_str host = without_port(authority), rest = kn_str_from(allowed), name;
    char tail[10];
    for (size_t i = 0; i < sizeof tail && host.len >= sizeof tail; i++) { /* ".localhost" */
        char c = host.ptr[host.len - sizeof tail + i];
        tail[i] = (char) (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    if (is_address(host) || kn_str_eq_nocase(host, KN_STR("localhost")) ||
        (host.len > sizeof tail && memcmp(tail, ".localhost", sizeof tail) == 0))
        return true;
    while (rest.ptr) {
        rest = kn_str_cut(rest, ',', &name);
        if (host.len && kn_str_eq_nocase(kn_str_trim(name), host))
            return true;
    }
    return false;
}

static bool is_same_origin(struct kn_str origin, struct kn_str host)
{
    if (kn_str_starts_with(origin, KN_STR("http://")))
        origin = (struct kn_str){origin.ptr + 7, origin.len - 7};
    else if (kn_str_starts_with(origin, KN_STR("https://")))
        origin = (struct kn_str){origin.ptr + 8, origin.len - 8};
    return kn_str_eq_nocase(origin, host);
}

int kn_api_check_origin(struct kn_api_call_state *state)
{
    struct kn_str host = kn_http_header(state->call.req, "host");
    struct kn_str origin = kn_http_header(state->call.req, "origin");
    if (!kn_api_is_own_host(host, state->api->conf.allowed_hosts))
        return kn_api_raise(state, 403, "AccessDeniedException",
                            "This server runs without authentication and answers only to its own "
                            "address, not to the Host of this request, unless the "
                            "setting host_names lists it.");
    if (origin.ptr && !is_same_origin(origin, host))
        return kn_api_raise(state, 403, "AccessDeniedException",
                            "This server runs without authentication and refuses requests of web "
                            "pages from elsewhere.");
    return 0;
}
