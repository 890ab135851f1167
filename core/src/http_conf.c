/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of the wire engine. The times leave room for the slowest of AWS's producers: kvssink
 * aborts an upload after 30 s below 30 bytes a second, a control call after 10 s
 * (contracts/kvs-producer.md 3 and 4), and ingest ends silent uploads itself, after 60 s.
 */
#include "core/http_server.h"

#define ROW_U64(member, least, most, normal, measure, text)                                        \
    {                                                                                              \
        .name = "http_" #member, .type = KN_CONF_U64,                                              \
        .offset = offsetof(struct kn_http_conf, member), .min = (least), .max = (most),            \
        .def = (normal), .unit = (measure), .help = (text)                                         \
    }

enum {
    SECOND = 1000,
    HOUR = 3600 * SECOND
};

const struct kn_conf_key kn_http_conf_keys[] = {
    ROW_U64(loops, 0, 64, 0, "count",
            "Event loops of the wire listeners, a thread each; 0 is one a processor core."),
    ROW_U64(workers, 1, 256, 4, "count",
            "Threads for requests that read from the disk or the catalogue."),
    ROW_U64(change_workers, 1, 256, 4, "count",
            "Threads for requests that change the catalogue and wait for its flush; those who read "
            "never wait for these."),
    ROW_U64(worker_queue_max, 16, 1 << 20, 4096, "count",
            "Requests that may wait for a thread of either kind; past it, they are answered with "
            "503."),
    ROW_U64(
        connections_max, 16, 1 << 20, 20000, "count",
        "Open connections of all wire listeners together; past it, a new one takes the place of "
        "the one that has been idle longest."),
    ROW_U64(connections_per_peer_max, 0, 1 << 20, 0, "count",
            "Open connections from one address (IPv6: one /64 network); 0 is no limit."),
    ROW_U64(head_bytes_max, 4096, 128 << 10, 64 << 10, "bytes",
            "Request line and headers together; longer ones are answered with 431."),
    ROW_U64(headers_max, 16, 1024, 128, "count",
            "Headers of a request; more are answered with 431."),
    ROW_U64(head_timeout_ms, 100, HOUR, 10 * SECOND, "ms",
            "From the first byte of a request, or from connecting, to the end of its headers."),
    ROW_U64(idle_timeout_ms, 100, HOUR, 60 * SECOND, "ms",
            "A connection kept alive is closed when no request comes for so long."),
    ROW_U64(body_timeout_ms, 100, 24 * HOUR, 120 * SECOND, "ms",
            "No byte of a body for so long ends the request, unless the server itself paused it."),
    ROW_U64(pace_ms, 0, SECOND, 40, "ms",
            "A live upload that nobody watches is read this often, not at each frame; 0: at each."),
    ROW_U64(write_timeout_ms, 100, 24 * HOUR, 60 * SECOND, "ms",
            "A peer that takes no byte of its answer for so long is disconnected."),
    ROW_U64(tls_handshake_timeout_ms, 100, HOUR, 10 * SECOND, "ms",
            "From connecting to the end of the TLS handshake."),
    ROW_U64(gather_timeout_ms, 100, HOUR, 60 * SECOND, "ms",
            "From the headers of an API call to the end of its body; uploads of media have no such "
            "limit."),
    ROW_U64(held_bytes_max, 1 << 20, UINT64_C(64) << 30, 256 << 20, "bytes",
            "Unfinished requests in memory over all connections: headers and bodies of API calls. "
            "Past it, those that hold more than 16 KiB are answered with 503."),
    ROW_U64(unsent_bytes_max, 64 << 20, UINT64_C(64) << 30, 256 << 20, "bytes",
            "Answers in memory that their peers have not taken yet, over all connections. Past "
            "three quarters of it answers of more than 64 KiB are refused, to be asked for again; "
            "and peers who have taken nothing for longest are disconnected, see "
            "http_unsent_stall_ms."),
    ROW_U64(
        unsent_stall_ms, 0, HOUR, SECOND, "ms",
        "Whoever has taken a byte of its answer within so long is not disconnected to make room "
        "for others."),
    ROW_U64(h2_streams_max, 1, 4096, 256, "count", "Requests at once on one HTTP/2 connection."),
};

const size_t kn_http_conf_key_count = KN_ARRAY_LEN(kn_http_conf_keys);
