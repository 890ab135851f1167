/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console behind its listener: "<flags><method> <path>?<query>\n", header lines, an empty line,
 * a body. Flag 1: keys are asked for; 2: a login cookie is sealed around the body, so that the
 * decoder behind the cipher is reached; 4: the peer is another machine.
 */
#include "console_call.h"
#include "request.h"

#include <unistd.h>

#include "datastream/datastream.h"
#include "datastream/events.h"
#include "storage/shard.h"
#include "storage/storage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    INPUT_BYTES_MAX = 16384,
    HEADERS_MAX = 24
};

static struct world {
    char dir[32];
    struct server_config config;
    struct server_ports ports;
    struct storage *storage;
    struct datastream *datastream;
    struct kn_api *api;
    struct storage_event_sender *events;
    struct server_console *consoles[2]; /* without keys, and with */
} world = {.dir = "/tmp/kinema-fuzz-XXXXXX"};

/* The page's files are the build's own; nothing of a request is parsed for them. */
bool console_asset_reply(const struct server_console *console, struct kn_http_req *req)
{
    (void) console;
    (void) req;
    return false;
}

static struct kn_key the_key = {.refs = 1,
                                .id = KN_STR_INIT("AKIATEST"),
                                .secret = KN_STR_INIT("secret"),
                                .grants = {{KN_STR_INIT("*"), KN_STR_INIT("*")}},
                                .grant_count = 1};

static int ring_find(struct kn_keyring *ring, struct kn_str id, struct kn_key **ret)
{
    (void) ring;
    if (!kn_str_eq(id, the_key.id))
        return -ENOENT;
    *ret = &the_key;
    return 0;
}

static void ring_unref(struct kn_keyring *ring, struct kn_key *key)
{
    (void) ring;
    (void) key;
}

static struct kn_keyring ring = {
    .find = ring_find, .find_blocking = ring_find, .unref = ring_unref};

static void remove_dir(void)
{
    char command[64];
    (void) snprintf(command, sizeof command, "rm -rf %s", world.dir);
    (void) !system(command);
}

static const struct kn_api_identity identity = {"aws", "us-east-1", "123456789012"};

static void open_datastream(void)
{
    struct storage_shard_conf conf;
    struct kn_conf_table table = {
        .keys = storage_shard_conf_keys, .count = storage_shard_conf_key_count, .target = &conf};
    struct storage_shards_report report;
    struct kn_err err = {0};
    kn_assert(kn_conf_defaults(&table, 1) == 0);
    conf.journal_bytes = MIB(16);
    kn_assert(storage_shards_start(world.storage, &conf, &report, &err) == 0);
    kn_assert(datastream_new(world.storage, &world.config.datastream, &identity, kn_clock_system(),
                             &world.datastream, &err) == 0);
    const struct datastream_events_conf events = {.storage = world.storage,
                                                  .datastream = world.datastream,
                                                  .identity = &identity,
                                                  .clock = kn_clock_system(),
                                                  .endpoint = "http://127.0.0.1:4566"};
    kn_assert(datastream_events_start(&events, &world.events, &err) == 0);
}

static void open_api(void)
{
    const struct kn_api_conf conf = {.identity = &identity, .clock = kn_clock_system()};
    kn_assert(kn_api_new(&conf, &world.api) == 0);
    kn_assert(kn_api_add(world.api, &datastream_api_service, world.datastream) == 0);
}

static void open_world(void)
{
    struct kn_conf_table table = {.keys = storage_conf_keys,
                                  .count = storage_conf_key_count,
                                  .target = &world.config.storage};
    struct storage_report report;
    struct kn_err err = {0};
    kn_assert(mkdtemp(world.dir) && kn_conf_defaults(&table, 1) == 0);
    (void) atexit(remove_dir);
    world.config.storage.ballast_bytes = world.config.storage.volume_free_bytes_min = 0;
    world.config.storage.catalogue_bytes_max = MIB(64);
    world.config.server.data = world.dir;
    world.config.server.host_names = strdup("example.org, b");
    world.config.server.public_api_url = strdup("");
    world.config.server.public_ingest_url = strdup("https://ingest.example.org");
    world.config.server.console_session_ms = 3600000;
    kn_assert(storage_open(world.dir, &world.config.storage, kn_fs_system(), kn_clock_system(),
                           &world.storage, &report, &err) == 0);
    open_datastream();
    open_api();
    for (int keys = 0; keys <= 1; keys++) {
        const struct server_console_conf conf = {.config = &world.config,
                                                 .ports = &world.ports,
                                                 .storage = world.storage,
                                                 .datastream = world.datastream,
                                                 .api = world.api,
                                                 .events = world.events,
                                                 .keyring = keys ? &ring : NULL,
                                                 .clock = kn_clock_system()};
        kn_assert(server_console_new(&conf, &world.consoles[keys], &err) == 0);
    }
}

static void seal_cookie(const struct server_console *console, struct kn_bytes plain,
                        struct kn_buf *out)
{
    struct kn_buf sealed;
    kn_buf_init(&sealed, CONSOLE_COOKIE_BYTES_MAX);
    kn_buf_printf(out, "kinema_session=");
    if (kn_aead_seal(console->session_key, plain, kn_bytes_of(KN_STR("kinema console session")),
                     &sealed) == 0)
        (void) !kn_base64_encode(kn_buf_bytes(&sealed), true, out);
    kn_buf_done(&sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_http_header headers[HEADERS_MAX];
    struct fuzz_request req = {.base = {.header_count = 0}};
    struct kn_buf cookie;
    struct kn_str rest = {(const char *) data + 1, size ? size - 1 : 0}, line, target;
    size_t count = 0;
    if (size < 2 || size > INPUT_BYTES_MAX)
        return 0;
    if (!world.storage)
        open_world();
    struct server_console *console = world.consoles[data[0] & 1];
    kn_buf_init(&cookie, 4096);
    rest = kn_str_cut(rest, '\n', &line);
    target = kn_str_cut(line, ' ', &req.base.method);
    req.base.query = kn_str_cut(target, '?', &req.base.path);
    req.base.is_loopback = !(data[0] & 4);
    while (rest.ptr && count < HEADERS_MAX - 1) {
        rest = kn_str_cut(rest, '\n', &line);
        if (!line.len)
            break;
        headers[count].value = kn_str_cut(line, ':', &headers[count].name);
        count++;
    }
    if (data[0] & 2) {
        seal_cookie(console, kn_bytes_of(rest), &cookie);
        headers[count++] = (struct kn_http_header){KN_STR("cookie"), kn_buf_str(&cookie)};
    }
    req.base.headers = headers;
    req.base.header_count = count;
    fuzz_request_ask(&req, &server_console_ops, console, kn_bytes_of(rest));
    kn_buf_done(&cookie);
    return 0;
}
