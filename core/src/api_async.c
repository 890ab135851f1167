/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that come later: a handler that has handed its work to somebody else (a commit, a timer)
 * leaves, and whoever ends the work resumes the call from any thread. The one word of state says
 * who frees the call when the peer leaves first.
 *
 *   NONE → WAITING (suspend) → RESUMED (resume; the loop answers) or GONE (resume frees)
 */
#include "api_private.h"

enum {
    NONE,
    WAITING,
    RESUMED,
    GONE
};

int kn_api_suspend(struct kn_api_call *call)
{
    struct kn_api_call_state *state = call->state;
    kn_assert(atomic_load(&state->async) == NONE);
    state->ref = kn_http_ref_of(call->req);
    atomic_store(&state->async, WAITING);
    return -EINPROGRESS;
}

void kn_api_resume(struct kn_api_call *call, int result)
{
    struct kn_api_call_state *state = call->state;
    struct kn_http_ref ref = state->ref; /* the state may be gone right after the exchange */
    int waiting = WAITING;
    state->async_result = result;
    if (atomic_compare_exchange_strong(&state->async, &waiting, RESUMED)) {
        kn_http_wake(ref, KN_API_WAKE_RESUMED);
        return;
    }
    kn_assert(waiting == GONE);
    kn_api_state_free(state);
}

void kn_api_on_resume(struct kn_api_call *call, kn_api_resumed_fn *fn, void *ctx)
{
    call->state->resumed_fn = fn;
    call->state->resumed_ctx = ctx;
}

bool kn_api_is_resumed(struct kn_api_call_state *state)
{
    return atomic_load(&state->async) == RESUMED;
}

bool kn_api_leave(struct kn_api_call_state *state)
{
    return atomic_exchange(&state->async, GONE) != WAITING;
}
