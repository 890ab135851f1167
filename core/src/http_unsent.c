/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The count of unsent bytes and each loop's list of connections whose peers are waited for, the one
 * that has stood still longest first; see http_unsent.h.
 */
#include "http_unsent.h"

#include "http_h1_req.h"
#include "http_h2.h"
#include "http_server_impl.h"

#include <errno.h>
#include <stdatomic.h>

#include "core/log.h"

static struct kn_metric_family held = {
    .kind = KN_GAUGE,
    .name = "kinema_http_unsent_bytes",
    .help = "Answers in memory that their peers have not taken yet",
};
static struct kn_metric_family closed = {
    .kind = KN_COUNTER,
    .name = "kinema_http_unsent_closed_total",
    .help = "Connections closed because their peers took nothing and memory was wanted",
    .labels = {"listener"}};
static struct kn_metric_family refused = {
    .kind = KN_COUNTER,
    .name = "kinema_http_unsent_refused_total",
    .help = "Answers put off because too many waited for their peers",
};

void kn_http_unsent_init(struct kn_http_unsent *unsent, const struct kn_http_conf *conf,
                         struct kn_clock *clock)
{
    unsent->bytes_max = (int64_t) conf->unsent_bytes_max;
    unsent->stall_ns = (int64_t) conf->unsent_stall_ms * 1000000;
    unsent->clock = clock;
    unsent->held = kn_metric_series(&held, NULL);
    unsent->refused = kn_metric_series(&refused, NULL);
}

static int64_t add(struct kn_http_unsent *unsent, int64_t more)
{
    if (more != 0)
        kn_metric_add(unsent->held, more);
    return atomic_fetch_add(&unsent->bytes, more) + more;
}

/* --- who stands still -------------------------------------------------------------------- */
static void tell_oldest(struct kn_http_loop *loop)
{
    const struct kn_http_conn *first = loop->still_first;
    atomic_store_explicit(&loop->still_since_ns, first ? first->still_since_ns : INT64_MAX,
                          memory_order_relaxed);
}

static void unlink_still(struct kn_http_conn *conn)
{
    struct kn_http_loop *loop = conn->loop;
    if (!conn->is_still)
        return;
    conn->is_still = false;
    *(conn->still_prev ? &conn->still_prev->still_next : &loop->still_first) = conn->still_next;
    *(conn->still_next ? &conn->still_next->still_prev : &loop->still_last) = conn->still_prev;
    tell_oldest(loop);
}

static void link_still(struct kn_http_conn *conn, int64_t since_ns)
{
    struct kn_http_loop *loop = conn->loop;
    conn->is_still = true;
    conn->still_since_ns = since_ns;
    conn->still_next = NULL;
    conn->still_prev = loop->still_last;
    *(loop->still_last ? &loop->still_last->still_next : &loop->still_first) = conn;
    loop->still_last = conn;
    tell_oldest(loop);
}

/* Since when its peer is waited for; INT64_MAX: it is not. */
static int64_t still_since_ns(const struct kn_http_conn *conn)
{
    if (kn_http_conn_out_left(conn) > 0 || !conn->writable)
        return conn->write_mark_ns;
    return conn->h2 && kn_h2_waits_for_window(conn->h2) ? conn->h2->sent_ns : INT64_MAX;
}

/* The loop with the connection that has stood still longest, and for long. NULL: none has. */
static struct kn_http_loop *stillest(const struct kn_http_unsent *unsent)
{
    struct kn_http_loop *found = NULL;
    int64_t since_ns = kn_mono_ns(unsent->clock) - unsent->stall_ns;
    for (unsigned i = 0; i < unsent->loop_count; i++) {
        struct kn_http_loop *loop = &unsent->loops[i];
        int64_t ns = atomic_load_explicit(&loop->still_since_ns, memory_order_relaxed);
        if (ns > since_ns)
            continue;
        since_ns = ns;
        found = loop;
    }
    return found;
}

static void close_still(struct kn_http_conn *conn)
{
    kn_log_warn("http_reader_closed", "peer=%.*s unsent_bytes=%zu still_ms=%" PRId64,
                (int) conn->peer_len, conn->peer, conn->unsent_bytes,
                (conn->loop->now_ns - conn->still_since_ns) / 1000000);
    struct kn_str name = kn_str_from(conn->listener->name);
    kn_metric_add(kn_metric_series(&closed, &name), 1);
    kn_http_conn_abandon(conn);
}

/* here: the loop whose thread this is; NULL: none. True: somebody else is going to make room. */
static bool make_room(struct kn_http_unsent *unsent, struct kn_http_loop *here)
{
    while (atomic_load(&unsent->bytes) > unsent->bytes_max / 2) {
        struct kn_http_loop *loop = stillest(unsent);
        if (!loop)
            return false;
        if (loop != here) {
            kn_http_mailbox_post(loop->box, &loop->room_mail);
            return true;
        }
        close_still(here->still_first);
    }
    return false;
}

void kn_http_unsent_room_wanted(struct kn_http_mail *mail)
{
    struct kn_http_loop *loop = KN_CONTAINER_OF(mail, struct kn_http_loop, room_mail);
    (void) make_room(&loop->server->unsent, loop);
}

/* --- connections ------------------------------------------------------------------------- */
static size_t memory_of(const struct kn_buf *buf) /* that was ever written to */
{
    return buf->ptr ? kn_max_u64(buf->len, kn_min_u64(buf->cap, KN_HTTP_OUT_BUF_BYTES)) : 0;
}

static size_t unsent_bytes(const struct kn_http_conn *conn)
{
    size_t bytes = memory_of(&conn->out) + memory_of(&conn->tls_out);
    for (const struct kn_h2_req *req = conn->h2 ? conn->h2->requests : NULL; req; req = req->next)
        bytes += req->out.len;
    return bytes;
}

void kn_http_unsent_count(struct kn_http_conn *conn)
{
    size_t bytes = unsent_bytes(conn);
    int64_t more = (int64_t) bytes - (int64_t) conn->unsent_bytes;
    conn->unsent_bytes = bytes;
    if (more != 0)
        (void) add(&conn->loop->server->unsent, more);
}

void kn_http_unsent_update(struct kn_http_conn *conn)
{
    struct kn_http_unsent *unsent = &conn->loop->server->unsent;
    int64_t since_ns = still_since_ns(conn);
    if (since_ns == INT64_MAX) {
        unlink_still(conn);
    } else if (!conn->is_still || conn->still_since_ns != since_ns) {
        unlink_still(conn);
        link_still(conn, since_ns);
    }
    size_t before = conn->unsent_bytes;
    kn_http_unsent_count(conn);
    if (conn->unsent_bytes <= before || atomic_load(&unsent->bytes) <= unsent->bytes_max)
        return;
    bool others = make_room(unsent, conn->loop);
    if (!others && conn->is_still && atomic_load(&unsent->bytes) > unsent->bytes_max)
        close_still(conn); /* all others get on: whoever wants more is one too many */
}

void kn_http_unsent_leave(struct kn_http_conn *conn)
{
    unlink_still(conn);
    if (conn->unsent_bytes > 0)
        (void) add(&conn->loop->server->unsent, -(int64_t) conn->unsent_bytes);
    conn->unsent_bytes = 0;
}

/* --- what handlers hold ------------------------------------------------------------------ */
void kn_http_unhold(struct kn_http_req *req)
{
    if (req->unsent_bytes > 0)
        (void) add(req->workers->unsent, -(int64_t) req->unsent_bytes);
    req->unsent_bytes = 0;
}

int kn_http_hold(struct kn_http_req *req, size_t bytes)
{
    struct kn_http_unsent *unsent = req->workers->unsent;
    int64_t more = (int64_t) bytes - (int64_t) req->unsent_bytes;
    int64_t all = add(unsent, more);
    if (more > 0 && bytes > KN_HTTP_UNSENT_BYTES_FREE && all > unsent->bytes_max / 4 * 3) {
        (void) add(unsent, -more);
        (void) make_room(unsent, NULL);
        kn_metric_add(unsent->refused, 1);
        return -EAGAIN;
    }
    req->unsent_bytes = bytes;
    return 0;
}
