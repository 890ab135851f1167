/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API engine on sockets for tests/api/test_61_aws_json*.py: the tests' own awsJson module and
 * the tables of the data streams' operations, plain, over TLS and without authentication. It prints
 * one line, `ready plain=PORT tls=PORT open=PORT`, and stops at the end of its standard input.
 */
#include "datastream_api.h"
#include "wire_module.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/http_server.h"
#include "core/thread.h"

static struct kn_key key = {
    .id = KN_STR_INIT("AKIDEXAMPLE"),
    .secret = KN_STR_INIT("secret"),
    .grants = {{KN_STR_INIT("*"), KN_STR_INIT("*")}},
    .grant_count = 1,
};

static int find(struct kn_keyring *ring, struct kn_str id, struct kn_key **ret)
{
    (void) ring;
    *ret = &key;
    return kn_str_eq(id, key.id) ? 0 : -ENOENT;
}

static void unref(struct kn_keyring *ring, struct kn_key *unused)
{
    (void) ring;
    (void) unused;
}

static struct kn_keyring keyring = {.find = find, .find_blocking = find, .unref = unref};

static void must(int code, struct kn_err *err)
{
    if (code >= 0)
        return;
    (void) fprintf(stderr, "api_conformance: %s (%d)\n", err->text, code);
    exit(1);
}

/* --- answers that come later, from other threads ---------------------------------------------- */
static struct kn_pool *later_pool;

struct later {
    struct kn_api_call *call;
    struct wire_Later_out *out;
};

static void answer_later(void *arg)
{
    struct later *later = arg;
    later->out->Text = kn_arena_str(later->call->arena, KN_STR("from another thread"));
    kn_api_resume(later->call, later->out->Text.ptr ? 0 : -ENOMEM);
}

static void take_later(struct kn_api_call *call, struct wire_Later_out *out)
{
    struct later *later = kn_arena_alloc(call->arena, sizeof *later);
    if (!later) {
        kn_api_resume(call, -ENOMEM);
        return;
    }
    *later = (struct later){call, out};
    int error = kn_pool_run(later_pool, answer_later, later);
    if (error)
        kn_api_resume(call, error);
}

static struct kn_api *make_api(struct kn_keyring *ring, struct kn_err *err)
{
    static const struct kn_api_identity identity = {"aws", "us-east-1", "000000000000"};
    static struct wire wire = {.take_later = take_later};
    const struct kn_api_conf conf = {
        .identity = &identity,
        .clock = kn_clock_system(),
        .keyring = ring,
        .skew_ms = 900000,
    };
    struct kn_api *api;
    must(kn_api_new(&conf, &api), err);
    must(kn_api_add(api, &wire_api_service, &wire), err);
    /* for calls that end before a handler would run: there is no module behind */
    must(kn_api_add(api, &datastream_api_service, NULL), err);
    return api;
}

int main(int argc, char **argv)
{
    struct kn_err err = {0};
    struct kn_http_conf conf = {0};
    const struct kn_conf_table table = {"http", kn_http_conf_keys, kn_http_conf_key_count, &conf};
    char cert[512], secret[512];
    if (argc < 2)
        return 2;
    (void) signal(SIGPIPE, SIG_IGN);
    (void) snprintf(cert, sizeof cert, "%s/cert.pem", argv[1]);
    (void) snprintf(secret, sizeof secret, "%s/key.pem", argv[1]);
    struct kn_tls *tls;
    must(kn_tls_self_signed(cert, secret, &err), &err);
    must(kn_tls_new(cert, secret, true, &tls, &err), &err);
    must(kn_conf_defaults(&table, 1), &err);

    must(kn_pool_new("later", 4, 1024, &later_pool), &err);
    struct kn_api *api = make_api(&keyring, &err), *open = make_api(NULL, &err);
    struct kn_http_server *server;
    must(kn_http_server_new(&conf, kn_clock_system(), &server, &err), &err);
    const struct kn_http_listen listens[] = {
        {"plain", "127.0.0.1:0", NULL, true, &kn_api_ops, api },
        {"tls",   "127.0.0.1:0", tls,  true, &kn_api_ops, api },
        {"open",  "127.0.0.1:0", NULL, true, &kn_api_ops, open},
    };
    (void) printf("ready");
    for (size_t i = 0; i < KN_ARRAY_LEN(listens); i++) {
        uint16_t port;
        must(kn_http_server_listen(server, &listens[i], &port, &err), &err);
        (void) printf(" %s=%u", listens[i].name, port);
    }
    must(kn_http_server_start(server, &err), &err);
    (void) printf("\n");
    (void) fflush(stdout);

    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    kn_http_server_stop(server, 1000);
    kn_pool_free(later_pool); /* what it still resumes frees itself */
    kn_http_server_free(server);
    kn_api_free(api);
    kn_api_free(open);
    kn_tls_free(tls);
    return 0;
}
