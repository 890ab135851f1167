/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GetDataEndpoint: the host the client has just reached us by, with the port of the listener that
 * serves the API it asks for, or the configured public URL. Never a path or a trailing slash:
 * clients append "/putMedia" and the like.
 */
#include "resource.h"

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

static bool is_ipv6_char(char c)
{
    return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') || c == ':' ||
           c == '.';
}

/* The name without the port; -EINVAL. What a client sends comes back inside a URL. */
static int host_name(struct kn_str host, struct kn_str *ret)
{
    struct kn_str name;
    if (host.len > 0 && host.ptr[0] == '[') {
        struct kn_str rest = kn_str_cut(host, ']', &name);
        if (!rest.ptr || name.len < 3)
            return -EINVAL;
        for (size_t i = 1; i < name.len; i++) {
            if (!is_ipv6_char(name.ptr[i]))
                return -EINVAL;
        }
        name.len++; /* the bracket belongs to it */
    } else {
        (void) kn_str_cut(host, ':', &name);
        for (size_t i = 0; i < name.len; i++) {
            if (!is_host_char(name.ptr[i]))
                return -EINVAL;
        }
    }
    if (name.len == 0)
        return -EINVAL;
    *ret = name;
    return 0;
}

static struct kn_str without_slash(struct kn_str url)
{
    while (url.len > 0 && url.ptr[url.len - 1] == '/')
        url.len--;
    return url;
}

int ingest_op_GetDataEndpoint(struct ingest *ingest, const struct ingest_GetDataEndpoint_in *in,
                              struct ingest_GetDataEndpoint_out *out, struct kn_api_call *call)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    int r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &stream);
    if (r < 0)
        return r;

    const struct ingest_endpoints *ends = &ingest->endpoints;
    bool upload = in->APIName == INGEST_GetDataEndpoint_APIName_PUT_MEDIA;
    const char *public_url = upload ? ends->public_ingest_url : ends->public_api_url;
    if (public_url && public_url[0]) {
        out->DataEndpoint = kn_arena_str(call->arena, without_slash(kn_str_from(public_url)));
        return out->DataEndpoint.ptr ? 0 : -ENOMEM;
    }

    uint16_t plain = upload ? ends->ingest_port : ends->api_port;
    uint16_t secure = upload ? ends->ingest_tls_port : ends->api_tls_port;
    bool tls = secure != 0 && (kn_http_is_tls(call->req) || plain == 0);
    struct kn_str host;
    if (host_name(kn_http_header(call->req, "host"), &host) < 0)
        return kn_api_fault(call, "InvalidArgumentException",
                            "The Host header does not name this server.");
    out->DataEndpoint =
        kn_arena_printf(call->arena, "%s://" KN_STR_FMT ":%u", tls ? "https" : "http",
                        KN_STR_ARG(host), (unsigned) (tls ? secure : plain));
    return out->DataEndpoint.ptr ? 0 : -ENOMEM;
}
