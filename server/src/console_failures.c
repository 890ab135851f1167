/* SPDX-License-Identifier: Apache-2.0 */
#include "console_failures.h"

static struct kn_str address_of(struct kn_str peer)
{
    while (peer.len > 0 && peer.ptr[peer.len - 1] != ':')
        peer.len--;
    if (peer.len > 0)
        peer.len--;
    peer.len = kn_min_u64(peer.len, sizeof(((struct console_failures *) 0)->peers->address) - 1);
    return peer;
}

/* A clock that was set back ends a window too. */
static bool is_over(int64_t start_ms, int64_t now_ms)
{
    return now_ms < start_ms || now_ms - start_ms > CONSOLE_FAILURE_WINDOW_MS;
}

bool console_failures_too_many(const struct console_failures *failures, struct kn_str peer,
                               int64_t now_ms)
{
    struct kn_str address = address_of(peer);
    for (size_t i = 0; i < CONSOLE_FAILURE_PEERS; i++) {
        if (failures->peers[i].count > 0 &&
            kn_str_eq(kn_str_from(failures->peers[i].address), address))
            return failures->peers[i].count >= CONSOLE_FAILURES_MAX &&
                   !is_over(failures->peers[i].window_start_ms, now_ms);
    }
    return false;
}

void console_failures_add(struct console_failures *failures, struct kn_str peer, int64_t now_ms)
{
    struct kn_str address = address_of(peer);
    size_t at = 0;
    for (size_t i = 0; i < CONSOLE_FAILURE_PEERS; i++) {
        if (failures->peers[i].count > 0 &&
            kn_str_eq(kn_str_from(failures->peers[i].address), address)) {
            at = i;
            break;
        }
        if (failures->peers[at].count > 0 &&
            (failures->peers[i].count == 0 ||
             failures->peers[i].window_start_ms < failures->peers[at].window_start_ms))
            at = i;
    }
    bool same = failures->peers[at].count > 0 &&
                kn_str_eq(kn_str_from(failures->peers[at].address), address);
    if (!same || is_over(failures->peers[at].window_start_ms, now_ms)) {
        kn_assert(kn_str_copy(failures->peers[at].address, sizeof(failures->peers[at].address),
                              address) == 0);
        failures->peers[at].window_start_ms = now_ms;
        failures->peers[at].count = 0;
    }
    failures->peers[at].count++;
}
