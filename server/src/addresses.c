/* SPDX-License-Identifier: Apache-2.0 */
#include "addresses.h"

#include "listeners.h"

enum {
    JSON_BYTES_MAX = 8192,
    URL_BYTES_MAX = 512
};

void server_addresses_each(const struct server_settings *settings, const struct server_ports *ports,
                           server_address_fn *each, void *ctx)
{
    const struct {
        const char *name, *scheme, *address;
        uint16_t port;
    } rows[] = {
        {"api",        "http",  settings->api,        ports->api       },
        {"ingest",     "http",  settings->ingest,     ports->ingest    },
        {"console",    "http",  settings->console,    ports->console   },
        {"api-tls",    "https", settings->api_tls,    ports->api_tls   },
        {"ingest-tls", "https", settings->ingest_tls, ports->ingest_tls},
        {"iot",        "https", settings->iot_tls,    ports->iot       },
        {"rtsp",       "rtsp",  settings->rtsp,       ports->rtsp      },
        {"rtsps",      "rtsps", settings->rtsp_tls,   ports->rtsps     },
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        char url[URL_BYTES_MAX];
        if (!rows[i].port)
            continue;
        snprintf(url, sizeof url, "%s://" KN_STR_FMT ":%u", rows[i].scheme,
                 KN_STR_ARG(server_address_host(rows[i].address)), (unsigned) rows[i].port);
        each(ctx, rows[i].name, url);
    }
}

static void write_member(void *ctx, const char *name, const char *url)
{
    kn_json_key(ctx, name);
    kn_json_text(ctx, url);
}

void server_addresses_tell(struct server_addresses *addresses,
                           const struct server_settings *settings, const struct server_ports *ports)
{
    struct kn_json_writer w;
    kn_buf_init(&addresses->json, JSON_BYTES_MAX);
    kn_json_writer_init(&w, &addresses->json);
    kn_json_object_begin(&w);
    server_addresses_each(settings, ports, write_member, &w);
    kn_json_object_end(&w);
    atomic_store(&addresses->known, addresses->json.error == 0);
}

void server_addresses_done(struct server_addresses *addresses)
{
    kn_buf_done(&addresses->json);
}

static int on_head(struct kn_http_req *req, void **ctx)
{
    const struct server_addresses *addresses = *ctx;
    const struct kn_http_header type = {KN_STR_INIT("content-type"),
                                        KN_STR_INIT("application/json")};
    bool known = atomic_load(&addresses->known);
    *ctx = NULL;
    kn_http_reply(req, known ? 200 : 503, &type, 1,
                  known ? kn_buf_bytes(&addresses->json) : (struct kn_bytes){NULL, 0});
    return 0;
}

const struct kn_http_ops server_addresses_ops = {.head = on_head};
