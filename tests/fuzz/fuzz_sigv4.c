/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signature reading on anything: "<method> <path>?<query>\n", header lines, an empty line, a body.
 * Whatever parses is checked and verified; nothing may verify unless it was signed with the key.
 */
#include "core/sigv4.h"

enum {
    HEADERS_MAX = 64
};

static struct kn_str take_line(struct kn_str *rest)
{
    struct kn_str line;
    *rest = kn_str_cut(*rest, '\n', &line);
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kn_sigv4_header headers[HEADERS_MAX];
    struct kn_sigv4_request req = {.headers = headers};
    struct kn_str rest = {(const char *) data, size}, line = take_line(&rest), target;
    target = kn_str_cut(line, ' ', &req.method);
    req.query = kn_str_cut(target, '?', &req.path);
    while (rest.ptr && req.header_count < HEADERS_MAX) {
        line = take_line(&rest);
        if (!line.len)
            break;
        struct kn_sigv4_header *header = &headers[req.header_count++];
        header->value = kn_str_cut(line, ':', &header->name);
    }
    req.body = kn_bytes_of(rest);
    req.body_unread = kn_str_eq(req.path, KN_STR("/putMedia"));

    struct kn_arena arena;
    struct kn_sigv4_auth auth;
    struct kn_sigv4_fault fault;
    kn_arena_init(&arena, 4 << 20);
    int error = kn_sigv4_parse(&req, &arena, &auth, &fault);
    if (!error) {
        const struct kn_sigv4_policy policy = {"kinesisvideo", NULL, auth.amz_date_ms, 900000,
                                               true};
        uint8_t key[KN_SIGV4_KEY_BYTES];
        error = kn_sigv4_check(&req, &auth, &policy, &fault);
        kn_sigv4_key(KN_STR("testsecret"), auth.date, auth.region, auth.service, key);
        if (!error)
            error = kn_sigv4_verify(&req, &auth, key, &fault);
        (void) kn_sigv4_covers(&auth, KN_STR("x-amzn-stream-name"));
    }
    kn_assert(!error || error == -EACCES || error == -ENOMEM);
    kn_assert(error != -EACCES || (fault.name && fault.status >= 400 && fault.message[0]));
    kn_arena_done(&arena);
    return 0;
}
