/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may reach the console at all. A page of a foreign site can post to localhost, and a name it
 * owns can be pointed at 127.0.0.1 (DNS rebinding). So: Host must be a plain address, localhost, or
 * a configured name; and Origin, when a browser sends one, must be this very host.
 */
#include "console_call.h"

#include <arpa/inet.h>

struct kn_str console_host_name(struct kn_str host)
{
    if (host.len > 0 && host.ptr[0] == '[') {
        struct kn_str inside, rest = kn_str_cut(host, ']', &inside);
        return rest.ptr ? (struct kn_str){inside.ptr, inside.len + 1} : host;
    }
    struct kn_str name;
    (void) kn_str_cut(host, ':', &name);
    return name;
}

static bool is_plain_address(struct kn_str name)
{
    char text[64];
    unsigned char address[sizeof(struct in6_addr)];
    if (name.len > 2 && name.ptr[0] == '[')
        return kn_str_copy(text, sizeof text, (struct kn_str){name.ptr + 1, name.len - 2}) == 0 &&
               inet_pton(AF_INET6, text, address) == 1;
    return kn_str_copy(text, sizeof text, name) == 0 && inet_pton(AF_INET, text, address) == 1;
}

static bool is_listed(const char *list, struct kn_str name)
{
    struct kn_str rest = kn_str_from(list);
    while (rest.ptr && rest.len > 0) {
        struct kn_str item;
        rest = kn_str_cut(rest, ',', &item);
        item = kn_str_trim(item);
        if (item.len > 0 && kn_str_eq_nocase(item, name))
            return true;
    }
    return false;
}

int console_guard(const struct server_console *console, struct kn_http_req *req,
                  const char **ret_why)
{
    struct kn_str host = kn_http_header(req, "host"), origin = kn_http_header(req, "origin");
    struct kn_str name = console_host_name(host);
    if (!kn_str_eq_nocase(name, KN_STR("localhost")) && !is_plain_address(name) &&
        !is_listed(console->conf.config->server.host_names, name)) {
        *ret_why = "foreign Host: see the setting host_names";
        return 403;
    }
    if (!origin.ptr)
        return 0;
    struct kn_str rest = origin;
    if (kn_str_starts_with(origin, KN_STR("http://")))
        rest = (struct kn_str){origin.ptr + 7, origin.len - 7};
    else if (kn_str_starts_with(origin, KN_STR("https://")))
        rest = (struct kn_str){origin.ptr + 8, origin.len - 8};
    if (kn_str_eq_nocase(rest, host))
        return 0;
    *ret_why = "foreign Origin";
    return 403;
}

static struct kn_str url_of(const struct console_call *call, const char *public_url, uint16_t port,
                            uint16_t tls_port)
{
    struct kn_str name = console_host_name(call->host);
    if (*public_url)
        return kn_str_from(public_url);
    if (port)
        return kn_arena_printf(call->arena, "http://" KN_STR_FMT ":%u", KN_STR_ARG(name),
                               (unsigned) port);
    if (tls_port)
        return kn_arena_printf(call->arena, "https://" KN_STR_FMT ":%u", KN_STR_ARG(name),
                               (unsigned) tls_port);
    return (struct kn_str){0};
}

struct kn_str console_api_url(const struct console_call *call)
{
    const struct server_console_conf *conf = &call->console->conf;
    return url_of(call, conf->config->server.public_api_url, conf->ports->api,
                  conf->ports->api_tls);
}

struct kn_str console_ingest_url(const struct console_call *call)
{
    const struct server_console_conf *conf = &call->console->conf;
    return url_of(call, conf->config->server.public_ingest_url, conf->ports->ingest,
                  conf->ports->ingest_tls);
}
