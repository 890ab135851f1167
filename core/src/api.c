/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: routes a request to its operation and runs the stages in order. All of it happens on
 * the request's loop, except looking up an unknown key and handlers that may block, which run on
 * the worker pool while the request waits; then only the worker touches the call.
 */
#include "core/api.h"

#include "api_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"

/* --- the table ----------------------------------------------------------------------------------
 */
int kn_api_new(const struct kn_api_conf *conf, struct kn_api **ret)
{
    struct kn_api *api = calloc(1, sizeof *api);
    if (!api)
        return -ENOMEM;
    api->conf = *conf;
    if (kn_api_signing_keys_new(&api->signing_keys) < 0 || kn_api_replay_new(&api->replay) < 0) {
        kn_api_free(api);
        return -ENOMEM;
    }
    *ret = api;
    return 0;
}

void kn_api_free(struct kn_api *api)
{
    if (!api)
        return;
    kn_api_signing_keys_free(api->signing_keys);
    kn_api_replay_free(api->replay);
    free(api);
}

static int compare(const struct kn_api_operation *op, struct kn_str route, struct kn_str method)
{
    int order = kn_str_cmp(kn_str_from(op->route), route);
    return order ? order : kn_str_cmp(kn_str_from(op->method), method);
}

static struct kn_api_entry *find(struct kn_api *api, struct kn_str route, struct kn_str method)
{
    size_t low = 0, high = api->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(api->entries[middle].op, route, method);
        if (order == 0)
            return &api->entries[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* The tables are ours: what the engine relies on is asserted once, here. */
static void check_tables(const struct kn_api_operation *op)
{
    kn_assert(op->in->row_count <= KN_API_MEMBERS_MAX);
    kn_assert(op->invoke || kn_api_fault_find(op, op->refused_fault));
    kn_assert(!op->resource_name || op->resource_name->shape->type == KN_API_STRING);
    kn_assert(!op->resource_arn || op->resource_arn->shape->type == KN_API_STRING);
    for (size_t i = 0; i < op->out->row_count; i++)
        kn_assert(op->answer_stream || !op->out->rows[i].header);
}

int kn_api_add(struct kn_api *api, const struct kn_api_service *service, void *module_ctx)
{
    for (size_t i = 0; i < service->operation_count; i++) {
        const struct kn_api_operation *op = service->operations[i];
        struct kn_str route = kn_str_from(op->route), method = kn_str_from(op->method);
        check_tables(op);
        if (find(api, route, method))
            return -EEXIST;
        if (api->entry_count == KN_API_OPERATIONS_MAX)
            return -EDQUOT;
        size_t at = api->entry_count++;
        for (; at > 0 && compare(api->entries[at - 1].op, route, method) > 0; at--)
            api->entries[at] = api->entries[at - 1];
        api->entries[at] = (struct kn_api_entry){.op = op, .module = module_ctx};
        kn_api_metrics_bind(&api->entries[at]);
    }
    return 0;
}

/* --- for handlers --------------------------------------------------------------------------------
 */
const struct kn_api_fault_row *kn_api_fault_find(const struct kn_api_operation *op,
                                                 const char *name)
{
    for (size_t i = 0; i < op->fault_count; i++)
        if (kn_str_eq(kn_str_from(op->faults[i].name), kn_str_from(name)))
            return &op->faults[i];
    return NULL;
}

int kn_api_fault(struct kn_api_call *call, const char *name, const char *fmt, ...)
{
    char text[KN_API_MESSAGE_BYTES_MAX];
    const struct kn_api_fault_row *row = kn_api_fault_find(call->operation, name);
    va_list args;
    kn_assert(row); /* the operation's file lists every fault its handler raises */
    va_start(args, fmt);
    (void) vsnprintf(text, sizeof text, fmt, args); /* cut is fine */
    va_end(args);
    (void) kn_api_raise(call->state, row->status, row->name, "%s", text);
    return -ECANCELED;
}

void kn_api_take(struct kn_api_call *call, const struct kn_http_ops *ops, void *ctx)
{
    kn_assert(call->operation->answer_stream || call->operation->input_stream);
    kn_assert(!call->state->take_ops);
    call->state->take_ops = ops;
    call->state->take_ctx = ctx;
}

/* --- decode, validate
 * ----------------------------------------------------------------------------- */
static int raise_serialization(struct kn_api_call_state *state)
{
    (void) kn_api_raise(state, 400, "SerializationException", "%s", "");
    state->raised.envelope = true;
    return -EACCES;
}

static int decode(struct kn_api_call_state *state)
{
    const struct kn_api_operation *op = state->entry->op;
    struct kn_api_decode ctx = {.arena = &state->arena};
    KN_CLEANUP(kn_buf_done) struct kn_buf violations = {0};
    state->in = kn_arena_alloc(&state->arena, op->in->bytes);
    state->out = kn_arena_alloc(&state->arena, op->out->bytes);
    int error = state->in && state->out ? 0 : -ENOMEM;
    if (!error)
        error = kn_api_decode_headers(&ctx, state->call.req, op->in, state->in);
    if (!error && !op->input_stream)
        error = kn_api_rest_json.decode(&ctx, kn_http_body(state->call.req), op->in, state->in);
    if (error == -EBADMSG)
        return raise_serialization(state);
    if (error) {
        kn_api_raise_errno(state, error);
        return -EACCES;
    }
    kn_buf_init(&violations, KN_API_BODY_BYTES_MAX);
    kn_api_validate(op->in, state->in, ctx.unknown, &violations);
    if (!violations.len)
        return 0;
    bool video = kn_str_eq(kn_str_from(op->service), KN_STR("kinesisvideo"));
    return kn_api_raise(state, 400, video ? "InvalidArgumentException" : "ValidationException",
                        KN_STR_FMT, KN_STR_ARG(kn_buf_str(&violations)));
}

/* --- handle, encode
 * ------------------------------------------------------------------------------- */
#ifndef NDEBUG
static void check_answer(const struct kn_api_call_state *state)
{
    KN_CLEANUP(kn_buf_done) struct kn_buf violations;
    kn_buf_init(&violations, KN_API_BODY_BYTES_MAX);
    kn_api_validate(state->entry->op->out, state->out, NULL, &violations);
    if (violations.len)
        kn_log_error("api_answer_invalid", "operation=%s what=%s", state->entry->op->name,
                     kn_log_quote(kn_buf_str(&violations)));
    kn_assert(!violations.len);
}
#endif

static void handle(void *arg)
{
    struct kn_api_call_state *state = arg;
    const struct kn_api_operation *op = state->entry->op;
    int error = op->invoke(state->entry->module, state->in, state->out, &state->call);
    if (error) {
        if (error != -ECANCELED || !state->raised.name)
            kn_api_raise_errno(state, error);
        return;
    }
    kn_assert(!state->raised.name); /* a fault was raised and not returned */
    if (state->take_ops)
        return;
    kn_assert(!op->answer_stream && !op->input_stream);
#ifndef NDEBUG
    check_answer(state);
#endif
    error = kn_api_rest_json.encode(op->out, state->out, &state->answer);
    if (error)
        kn_api_raise_errno(state, error);
}

static void find_key(void *arg)
{
    kn_api_auth_find_blocking(arg);
}

/* --- the order of things -------------------------------------------------------------------------
 */
static void hand_over(struct kn_api_call_state *state)
{
    struct kn_http_req *req = state->call.req;
    int error = kn_http_hand_over(req, state->take_ops, state->take_ctx);
    if (error == -EDQUOT) { /* nobody took it */
        state->take_ops->gone(req, state->take_ctx, KN_HTTP_ERROR);
        kn_api_raise_errno(state, error);
        kn_api_reply_fault(state);
    }
    state->take_ops = NULL; /* from now on theirs */
}

/* The engine below has its own copy of the answer: a peer that takes its time holds only that. */
static void release(struct kn_api_call_state *state)
{
    kn_buf_done(&state->answer);
    kn_arena_done(&state->arena);
    state->in = state->out = NULL;
}

static void finish(struct kn_api_call_state *state)
{
    state->step = KN_API_STEP_DONE;
    kn_api_metrics_count(state);
    if (state->raised.name && state->take_ops) { /* took, then failed */
        state->take_ops->gone(state->call.req, state->take_ctx, KN_HTTP_ERROR);
        state->take_ops = NULL;
    }
    if (!state->raised.name && state->take_ops) {
        hand_over(state);
        return;
    }
    if (state->raised.name)
        kn_api_reply_fault(state);
    else
        kn_api_reply_answer(state);
    release(state);
}

static void run_on_worker(struct kn_api_call_state *state, enum kn_api_step step,
                          void (*job)(void *arg))
{
    int error = kn_http_offload(state->call.req, job, state);
    state->step = step;
    if (error) {
        kn_api_raise_errno(state, error);
        finish(state);
    }
}

/* Who asks is known, or nobody needs to be. */
static void proceed(struct kn_api_call_state *state)
{
    const struct kn_api_operation *op = state->entry->op;
    int error = state->api->conf.keyring ? kn_api_auth_finish(state) : 0;
    if (!error)
        error = decode(state);
    if (!error)
        error = kn_api_authorise(state);
    if (!error && !op->invoke)
        error = kn_api_raise(state, kn_api_fault_find(op, op->refused_fault)->status,
                             op->refused_fault, "%s", op->refused_reason);
    if (error)
        finish(state);
    else if (op->blocking)
        run_on_worker(state, KN_API_STEP_HANDLER, handle);
    else {
        handle(state);
        finish(state);
    }
}

static void start(struct kn_api_call_state *state)
{
    int error = state->api->conf.keyring ? kn_api_auth_begin(state) : 0;
    if (error == -EAGAIN)
        run_on_worker(state, KN_API_STEP_KEY, find_key);
    else if (error)
        finish(state);
    else
        proceed(state);
}

/* --- callbacks
 * ------------------------------------------------------------------------------------ */
static struct kn_api_call_state *state_new(struct kn_api *api, const struct kn_api_entry *entry,
                                           struct kn_http_req *req)
{
    struct kn_api_call_state *state = calloc(1, sizeof *state);
    if (!state)
        return NULL;
    state->api = api;
    state->entry = entry;
    state->started_ns = kn_mono_ns(api->conf.clock);
    kn_arena_init(&state->arena, KN_API_ARENA_BYTES_MAX);
    kn_buf_init(&state->answer, KN_API_ANSWER_BYTES_MAX);
    state->call = (struct kn_api_call){
        .req = req,
        .arena = &state->arena,
        .operation = entry->op,
        .identity = api->conf.identity,
        .clock = api->conf.clock,
        .state = state,
    };
    kn_api_uuid(state->call.request_id);
    return state;
}

static int on_head(struct kn_http_req *req, void **ctx)
{
    struct kn_api *api = *ctx;
    struct kn_str method = kn_http_method(req);
    *ctx = NULL;
    if (kn_str_eq(method, KN_STR("OPTIONS"))) {
        kn_api_reply_preflight(req, api->conf.keyring != NULL);
        return 0;
    }
    struct kn_api_entry *entry = find(api, kn_http_path(req), method);
    if (!entry) {
        kn_api_reply_unknown(req, api->conf.keyring != NULL);
        return 0;
    }
    struct kn_api_call_state *state = state_new(api, entry, req);
    if (!state) {
        kn_api_reply_error(req, 500, "InternalFailure", "The server is out of memory.");
        return 0;
    }
    *ctx = state;
    if (!api->conf.keyring && kn_api_check_origin(state) < 0)
        finish(state);
    else if (entry->op->input_stream)
        start(state); /* the body belongs to whoever takes the request */
    else
        kn_http_collect(req, KN_API_BODY_BYTES_MAX);
    return 0;
}

static void on_end(struct kn_http_req *req, void *ctx)
{
    struct kn_api_call_state *state = ctx;
    (void) req;
    if (state && state->step == KN_API_STEP_NONE)
        start(state);
}

static void on_wake(struct kn_http_req *req, void *ctx, uint32_t bits)
{
    struct kn_api_call_state *state = ctx;
    (void) req;
    if (!state || !(bits & KN_HTTP_WAKE_JOB))
        return;
    if (state->step == KN_API_STEP_KEY)
        proceed(state);
    else if (state->step == KN_API_STEP_HANDLER)
        finish(state);
}

static void on_gone(struct kn_http_req *req, void *ctx, enum kn_http_why why)
{
    struct kn_api_call_state *state = ctx;
    if (!state)
        return;
    if (state->take_ops) /* the peer left before the hand-over */
        state->take_ops->gone(req, state->take_ctx, why);
    if (state->key)
        state->api->conf.keyring->unref(state->api->conf.keyring, state->key);
    kn_buf_done(&state->answer);
    kn_arena_done(&state->arena);
    free(state);
}

const struct kn_http_ops kn_api_ops = {
    .head = on_head,
    .end = on_end,
    .wake = on_wake,
    .gone = on_gone,
};
