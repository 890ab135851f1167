/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Viewers as a server sees them, over keep-alive connections on loopback. Prints one JSON object.
 *
 *   http_load --port P --paths FILE --connections 16 --seconds 5 [--once]
 *       each connection asks for the next path of the file, again and again
 *   http_load --port P --playlists FILE --viewers 1000 --seconds 20 [--warm 6]
 *       each viewer follows one live media playlist of the file: it is asked for once a target
 *       duration, and each new segment once
 *
 *   --tls        TLS 1.3 with AES-128-GCM
 *   --pid N      also tells the CPU time of that process between --warm and the end
 */
#include "http_client.h"
#include "tool.h"

#include <errno.h>
#include <sys/epoll.h>

enum {
    FILE_BYTES_MAX = 64 << 20,
    PATHS_MAX = 1 << 20,
    CONNECTIONS_MAX = 20000,
};

static const int64_t second_ns = 1000000000;

static struct {
    struct http_client_where where;
    unsigned connections;
    double seconds, warm;
    int pid;
    bool viewers, once;
    const char *file;
} options = {.connections = 16, .seconds = 5};

static struct kn_str *paths;
static size_t path_count, path_next;

static struct {
    uint64_t requests, playlists, segments, bytes, errors, missed;
    struct tool_samples latency_ms;
} total;
static bool ending;

static void count(const struct http_client *conn)
{
    total.requests++;
    total.bytes += conn->bytes;
    total.errors += conn->status != 200;
    tool_sample(&total.latency_ms, (double) (tool_now_ns() - conn->sent_ns) / 1e6);
}

static struct kn_str next_path(void)
{
    return paths[path_next++ % path_count];
}

/* --- paths ------------------------------------------------------------------------------------ */

static void path_answered(struct http_client *conn)
{
    count(conn);
    if (options.once && path_next >= path_count)
        ending |= total.requests == path_count;
    else if (!ending)
        http_client_get(conn, next_path(), false);
}

/* --- viewers ---------------------------------------------------------------------------------- */

struct viewer {
    struct http_client conn;
    struct kn_str playlist;
    struct kn_str base; /* the playlist's folder */
    bool in_playlist;
    int64_t due_ns; /* of the next playlist; INT64_MAX: an answer is awaited */
    uint64_t seen;  /* media sequence of the next segment to ask for */
    bool begun;
    struct kn_buf segments; /* paths still to be asked for, each ended by 0 */
    size_t segments_at;
};

static void ask_segment(struct viewer *v)
{
    struct kn_str path = kn_str_from((const char *) v->segments.ptr + v->segments_at);
    v->segments_at += path.len + 1;
    v->in_playlist = false;
    http_client_get(&v->conn, path, false);
}

static void ask_playlist(struct viewer *v)
{
    v->due_ns = INT64_MAX;
    v->in_playlist = true;
    http_client_get(&v->conn, v->playlist, true);
}

static void add_segment(struct viewer *v, struct kn_str uri)
{
    (void) kn_buf_append_str(&v->segments, v->base);
    (void) kn_buf_append_str(&v->segments, uri);
    if (kn_buf_append_byte(&v->segments, 0) < 0)
        tool_die("too many segments");
}

static uint64_t number_of(struct kn_str text)
{
    uint64_t number;
    if (kn_str_to_u64(text, UINT64_MAX, &number) < 0)
        tool_die("a playlist that cannot be read");
    return number;
}

/* Queues the new segments and tells the target duration. */
static uint64_t read_playlist(struct viewer *v)
{
    struct kn_str rest = kn_buf_str(&v->conn.body), line;
    uint64_t sequence = 0, target_s = 2, media = 0;
    kn_buf_clear(&v->segments);
    v->segments_at = 0;
    while (rest.len) {
        rest = kn_str_cut(rest, '\n', &line);
        struct kn_str value;
        struct kn_str tail = kn_str_cut(line, ':', &value);
        if (kn_str_eq(value, KN_STR("#EXT-X-MEDIA-SEQUENCE"))) {
            sequence = number_of(tail);
            media = sequence;
        } else if (kn_str_eq(value, KN_STR("#EXT-X-TARGETDURATION"))) {
            target_s = number_of(tail);
        } else if (line.len && line.ptr[0] != '#') {
            if (v->begun && media >= v->seen)
                add_segment(v, line);
            media++;
        }
    }
    total.missed += v->begun && sequence > v->seen ? sequence - v->seen : 0;
    v->seen = media;
    v->begun = true;
    return target_s;
}

static void viewer_answered(struct http_client *conn)
{
    struct viewer *v = KN_CONTAINER_OF(conn, struct viewer, conn);
    count(conn);
    if (v->in_playlist) {
        total.playlists++;
        int64_t period_ns = (int64_t) read_playlist(v) * second_ns;
        bool news = v->segments.len > 0; /* RFC 8216, 6.3.4: half of it when nothing is new */
        v->due_ns = conn->sent_ns + (news ? period_ns : period_ns / 2);
    } else {
        total.segments++;
    }
    if (v->segments_at < v->segments.len && !ending)
        ask_segment(v);
}

static void open_viewer(struct viewer *v, size_t i)
{
    v->playlist = paths[i % path_count];
    (void) kn_str_cut(v->playlist, '?', &v->base);
    while (v->base.len && v->base.ptr[v->base.len - 1] != '/')
        v->base.len--;
    v->due_ns = tool_now_ns() + (int64_t) i * 2 * second_ns / options.connections;
    kn_buf_init(&v->segments, 1 << 20);
    http_client_open(&v->conn, &options.where, viewer_answered);
}

/* Asks where it is time; returns until when nothing is due. */
static int64_t run_due(struct viewer *viewers)
{
    int64_t now_ns = tool_now_ns(), next_ns = now_ns + second_ns / 20;
    for (unsigned i = 0; i < options.connections; i++) {
        struct viewer *v = &viewers[i];
        if (v->due_ns <= now_ns && v->conn.state == HTTP_CLIENT_IDLE && !ending)
            ask_playlist(v);
        else
            next_ns = kn_min_i64(next_ns, v->due_ns > now_ns ? v->due_ns : next_ns);
    }
    return next_ns;
}

/* --- running ---------------------------------------------------------------------------------- */

static void *open_all(void)
{
    size_t each = options.viewers ? sizeof(struct viewer) : sizeof(struct http_client);
    char *all = calloc(options.connections, each);
    if (!all)
        tool_die("memory");
    for (unsigned i = 0; i < options.connections; i++) {
        if (options.viewers)
            open_viewer((struct viewer *) (void *) (all + i * each), i);
        else
            http_client_open((struct http_client *) (void *) (all + i * each), &options.where,
                             path_answered);
    }
    return all;
}

static void run_until(struct viewer *viewers, int64_t end_ns)
{
    struct epoll_event events[256];
    while (!ending) {
        int64_t now_ns = tool_now_ns();
        int64_t next_ns = viewers ? run_due(viewers) : end_ns;
        next_ns = kn_min_i64(next_ns, end_ns);
        if (now_ns >= end_ns)
            return;
        int wait_ms = next_ns <= now_ns ? 0 : (int) ((next_ns - now_ns) / 1000000) + 1;
        int n = epoll_wait(options.where.epoll, events, KN_ARRAY_LEN(events), wait_ms);
        for (int i = 0; i < n; i++)
            http_client_run(events[i].data.ptr);
    }
}

static void read_paths(void)
{
    struct kn_buf *file = malloc(sizeof *file); /* the paths point into it */
    FILE *f = fopen(options.file, "r");
    if (!file || !f)
        tool_die(options.file);
    kn_buf_init(file, FILE_BYTES_MAX);
    char part[65536];
    for (size_t n; (n = fread(part, 1, sizeof part, f));)
        if (kn_buf_append(file, part, n) < 0)
            tool_die("the list of paths");
    (void) fclose(f);
    paths = calloc(PATHS_MAX, sizeof *paths);
    struct kn_str rest = kn_buf_str(file), line;
    while (paths && rest.len && path_count < PATHS_MAX) {
        rest = kn_str_cut(rest, '\n', &line);
        if (line.len)
            paths[path_count++] = line;
    }
    if (!path_count)
        tool_die("no paths");
}

static void read_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--tls") == 0 || strcmp(name, "--once") == 0) {
            if (name[2] == 't')
                options.where.tls = http_client_tls_new();
            options.once |= name[2] == 'o';
            continue;
        }
        i++;
        if (strcmp(name, "--port") == 0)
            options.where.port = (uint16_t) strtoul(value, NULL, 10);
        else if (strcmp(name, "--connections") == 0 || strcmp(name, "--viewers") == 0)
            options.connections = (unsigned) strtoul(value, NULL, 10);
        else if (strcmp(name, "--seconds") == 0)
            options.seconds = strtod(value, NULL);
        else if (strcmp(name, "--warm") == 0)
            options.warm = strtod(value, NULL);
        else if (strcmp(name, "--pid") == 0)
            options.pid = (int) strtoul(value, NULL, 10);
        else if (strcmp(name, "--paths") == 0 || strcmp(name, "--playlists") == 0) {
            options.file = value;
            options.viewers = name[3] == 'l';
        } else {
            fprintf(stderr, "http_load: what is %s?\n", name);
            exit(2);
        }
    }
    if (!options.file || options.connections < 1 || options.connections > CONNECTIONS_MAX)
        tool_die("see the top of http_load.c");
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    read_paths();
    options.where.epoll = epoll_create1(EPOLL_CLOEXEC);
    void *all = open_all();
    struct viewer *viewers = options.viewers ? all : NULL;
    int64_t start_ns = tool_now_ns();
    for (unsigned i = 0; !options.viewers && i < options.connections; i++)
        if (!options.once || path_next < path_count)
            http_client_get(&((struct http_client *) all)[i], next_path(), false);
    if (options.warm > 0) {
        run_until(viewers, start_ns + (int64_t) (options.warm * 1e9));
        memset(&total, 0, sizeof total);
        start_ns = tool_now_ns();
    }
    int64_t cpu_ns = options.pid ? tool_cpu_ns(options.pid) : 0;
    run_until(viewers, start_ns + (int64_t) (options.seconds * 1e9));
    double took_s = (double) (tool_now_ns() - start_ns) / 1e9;
    double cpu_s = options.pid ? (double) (tool_cpu_ns(options.pid) - cpu_ns) / 1e9 : 0;
    printf("{\"connections\":%u,\"seconds\":%.3f,\"requests\":%" PRIu64 ",\"bytes\":%" PRIu64
           ",\"errors\":%" PRIu64 ",\"playlists\":%" PRIu64 ",\"segments\":%" PRIu64
           ",\"missed\":%" PRIu64 ",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"server_cpu_s\":%.4f}\n",
           options.connections, took_s, total.requests, total.bytes, total.errors, total.playlists,
           total.segments, total.missed, tool_percentile(&total.latency_ms, 0.5),
           tool_percentile(&total.latency_ms, 0.99), cpu_s);
    return total.errors || !total.requests;
}
