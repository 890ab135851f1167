/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: routes a request to its operation and runs the stages in order. All of it happens on
 * the request's loop, except looking up an unknown key and handlers that may block, which run on
 * the worker pool while the request waits; then only the worker touches the call. A suspended call
 * belongs to whoever resumes it.
 */
#include "core/api.h"

#include "api_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"

/* --- the table -------------------------------------------------------------------------------- */
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
    if (conf->aws_limits && kn_api_rates_new(&api->rates) < 0) {
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
    kn_api_rates_free(api->rates);
    free(api);
}

/* --- for handlers ----------------------------------------------------------------------------- */
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

int kn_api_refuse(struct kn_api_call *call)
{
    const struct kn_api_operation *op = call->operation;
    return kn_api_fault(call, op->refused_fault, "%s", op->refused_reason);
}

int kn_api_defer(struct kn_api_call *call, enum kn_http_lane lane)
{
    kn_assert(!call->on_worker && !call->state->raised.name);
    call->state->deferred = true;
    call->state->lane = lane;
    return -EINPROGRESS;
}

void kn_api_keep(struct kn_api_call *call, void (*release)(void *arg), void *arg)
{
    kn_assert(!call->state->kept_release);
    call->state->kept_release = release;
    call->state->kept = arg;
}

int64_t kn_api_started_ns(const struct kn_api_call *call)
{
    return call->state->started_ns;
}

void kn_api_expect(struct kn_api_call *call, size_t answer_bytes)
{
    struct kn_buf *answer = &call->state->answer;
    if (answer_bytes <= answer->max && kn_buf_reserve(answer, answer_bytes) < 0)
        answer->error = 0; /* a hint: what there is no room for is told when it comes */
}

static void let_go(struct kn_api_call_state *state)
{
    if (state->kept_release)
        state->kept_release(state->kept);
    state->kept_release = NULL;
}

void kn_api_take(struct kn_api_call *call, const struct kn_http_ops *ops, void *ctx)
{
    kn_assert(call->operation->answer_stream || call->operation->input_stream);
    kn_assert(!call->state->take_ops);
    call->state->take_ops = ops;
    call->state->take_ctx = ctx;
}

/* --- decode, validate ------------------------------------------------------------------------- */
static const struct kn_api_dialect video = {"InvalidArgumentException", KN_API_VIDEO_VIOLATIONS_MAX,
                                            "", ""};
/* Ten violations and Java's way to print an object: recordings in kinesalite's public tests. */
static const struct kn_api_dialect coral = {"ValidationException", KN_API_DATA_VIOLATIONS_MAX,
                                            "com.amazonaws.kinesis.v20131202.", "@c965e310"};

void kn_api_raise_serialization(struct kn_api_call_state *state, struct kn_str problem)
{
    (void) kn_api_raise(state, 400, "SerializationException", "%s", "");
    state->raised.envelope = !kn_api_is_aws(state);
    state->raised.bare = !problem.ptr;
    state->raised.message = problem;
    state->raised.message_member = "Message";
}

static int validate(struct kn_api_call_state *state, const struct kn_api_unknown_enum *unknown)
{
    const struct kn_api_dialect *dialect = kn_api_is_aws(state) ? &coral : &video;
    KN_CLEANUP(kn_buf_done) struct kn_buf violations;
    kn_buf_init(&violations, KN_API_BODY_BYTES_MAX);
    kn_api_validate(state->entry->op->in, state->in, unknown, dialect, &violations);
    if (!violations.len)
        return 0;
    return kn_api_raise(state, 400, dialect->fault, KN_STR_FMT,
                        KN_STR_ARG(kn_buf_str(&violations)));
}

static int decode(struct kn_api_call_state *state, struct kn_bytes body)
{
    const struct kn_api_operation *op = state->entry->op;
    struct kn_api_decode ctx = {.arena = &state->arena, .coral = state->codec->coral};
    state->in = kn_arena_alloc(&state->arena, op->in->bytes);
    state->out = kn_arena_alloc(&state->arena, op->out->bytes);
    int error = state->in && state->out ? 0 : -ENOMEM;
    if (!error)
        error = kn_api_decode_headers(&ctx, state->call.req, op->in, state->in);
    if (!error && !op->input_stream)
        error = state->codec->decode(&ctx, body, op->in, state->in);
    if (error == -EBADMSG)
        kn_api_raise_serialization(state, ctx.problem);
    else if (error)
        kn_api_raise_errno(state, error);
    return error ? -EACCES : validate(state, ctx.unknown);
}

/* --- handle, encode --------------------------------------------------------------------------- */
#ifndef NDEBUG
static void check_answer(const struct kn_api_call_state *state)
{
    KN_CLEANUP(kn_buf_done) struct kn_buf violations;
    kn_buf_init(&violations, KN_API_BODY_BYTES_MAX);
    kn_api_validate(state->entry->op->out, state->out, NULL, &coral, &violations);
    if (violations.len)
        kn_log_error("api_answer_invalid", "operation=%s what=%s", state->entry->op->name,
                     kn_log_quote(kn_buf_str(&violations)));
    kn_assert(!violations.len);
}
#endif

static void handled(struct kn_api_call_state *state, int result)
{
    const struct kn_api_operation *op = state->entry->op;
    if (result) {
        if (result != -ECANCELED || !state->raised.name)
            kn_api_raise_errno(state, result);
        return;
    }
    kn_assert(!state->raised.name); /* a fault was raised and not returned */
    kn_assert(state->permitted);    /* the stream in a token was not asked for */
    if (state->take_ops)
        return;
    kn_assert(!op->answer_stream && !op->input_stream);
#ifndef NDEBUG
    check_answer(state);
#endif
    if (kn_api_is_aws(state) && !op->out->row_count)
        return; /* nothing, not even an object */
    int error = state->codec->encode(op->out, state->out, &state->answer);
    if (error)
        kn_api_raise_errno(state, error);
    let_go(state);
    if (!error && kn_http_hold(state->call.req, state->answer.len) < 0) {
        kn_buf_done(&state->answer);
        kn_api_raise_crowded(state);
    }
}

static void handle(void *arg)
{
    struct kn_api_call_state *state = arg;
    int result =
        state->entry->op->invoke(state->entry->module, state->in, state->out, &state->call);
    if (result == -EINPROGRESS)
        state->suspended = !state->deferred;
    else
        handled(state, result);
}

static void find_key(void *arg)
{
    kn_api_auth_find_blocking(arg);
}

/* --- the order of things ---------------------------------------------------------------------- */
static void hand_over(struct kn_api_call_state *state)
{
    struct kn_http_req *req = state->call.req;
    int error = kn_http_hand_over(req, state->take_ops, state->take_ctx);
    if (error == -EDQUOT) { /* nobody took it */
        state->take_ops->gone(req, state->take_ctx, KN_HTTP_ERROR);
        kn_api_raise_errno(state, error);
        if (kn_api_is_aws(state))
            kn_api_reply_aws(state);
        else
            kn_api_reply_fault(state);
    }
    state->take_ops = NULL; /* from now on theirs */
}

/* The engine below has its own copy of the answer: a peer that takes its time holds only that. */
static void release(struct kn_api_call_state *state)
{
    let_go(state);
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
    if (kn_api_is_aws(state))
        kn_api_reply_aws(state);
    else if (state->raised.name)
        kn_api_reply_fault(state);
    else
        kn_api_reply_answer(state);
    release(state);
}

static void run_on_worker(struct kn_api_call_state *state, enum kn_http_lane lane,
                          enum kn_api_step step, void (*job)(void *arg))
{
    int error = kn_http_offload(state->call.req, lane, job, state);
    state->step = step; /* on_wake reads it, on this thread */
    if (error) {
        kn_api_raise_errno(state, error);
        finish(state);
    }
}

/* The handler has returned: with the answer, or with the promise of one. */
static void after_handler(struct kn_api_call_state *state)
{
    if (!state->suspended) {
        finish(state);
        return;
    }
    state->step = KN_API_STEP_SUSPENDED;
    if (!kn_api_is_resumed(state))
        return;
    int result = state->async_result;
    if (result == 0 && state->resumed_fn)
        result = state->resumed_fn(&state->call, state->resumed_ctx);
    handled(state, result);
    finish(state);
}

static void handle_on_worker(struct kn_api_call_state *state, enum kn_http_lane lane)
{
    state->call.on_worker = true;
    run_on_worker(state, lane, KN_API_STEP_HANDLER, handle);
}

static void handle_here(struct kn_api_call_state *state)
{
    handle(state);
    if (!state->deferred) {
        after_handler(state);
        return;
    }
    state->deferred = false;
    memset(state->out, 0, state->entry->op->out->bytes);
    handle_on_worker(state, state->lane);
}

/* What has no handler says why. */
static int refuse(struct kn_api_call_state *state)
{
    const struct kn_api_operation *op = state->entry->op;
    if (op->refused_fault)
        return kn_api_raise(state, kn_api_fault_find(op, op->refused_fault)->status,
                            op->refused_fault, "%s", op->refused_reason);
    return kn_api_raise(state, 400, "UnknownOperationException",
                        "This server does not have the operation yet.");
}

/* May it be handled? */
static int prepare(struct kn_api_call_state *state, struct kn_bytes body)
{
    int error = decode(state, body);
    if (!error)
        error = kn_api_authorise(state);
    if (!error)
        error = kn_api_rates_check(state);
    if (!error && !state->entry->op->invoke)
        error = refuse(state);
    return error;
}

/* Who asks is known, or nobody needs to be. */
static void proceed(struct kn_api_call_state *state)
{
    const struct kn_api_operation *op = state->entry->op;
    int error = state->api->conf.keyring ? kn_api_auth_finish(state) : 0;
    if (!error)
        error =
            prepare(state, op->input_stream ? (struct kn_bytes){0} : kn_http_body(state->call.req));
    if (error)
        finish(state);
    else if (op->blocking)
        handle_on_worker(state, op->changes ? KN_HTTP_CHANGES : KN_HTTP_READS);
    else
        handle_here(state);
}

static void start(struct kn_api_call_state *state)
{
    int error = kn_api_is_aws(state) ? kn_api_front_body(state) : 0;
    if (!error && state->api->conf.keyring) {
        error = kn_api_is_aws(state) ? kn_api_front_claims(state) : 0;
        error = error ? error : kn_api_auth_begin(state);
        if (error == -EACCES && kn_api_is_aws(state))
            kn_api_front_failed(state);
    }
    if (error == -EAGAIN)
        run_on_worker(state, KN_HTTP_READS, KN_API_STEP_KEY, find_key);
    else if (error)
        finish(state);
    else
        proceed(state);
}

/* --- callbacks -------------------------------------------------------------------------------- */
static struct kn_api_call_state *state_new(struct kn_api *api, const struct kn_api_entry *entry,
                                           struct kn_http_req *req)
{
    struct kn_api_call_state *state = calloc(1, sizeof *state);
    if (!state)
        return NULL;
    state->api = api;
    state->entry = entry;
    state->codec = entry->op->protocol == KN_API_AWS_JSON ? &kn_api_aws_json : &kn_api_rest_json;
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

void kn_api_state_free(struct kn_api_call_state *state)
{
    if (state->key)
        state->api->conf.keyring->unref(state->api->conf.keyring, state->key);
    let_go(state);
    kn_buf_done(&state->answer);
    kn_arena_done(&state->arena);
    free(state);
}

/* awsJson has one path, and wants to answer there itself. */
static const struct kn_api_entry *find_entry(const struct kn_api *api, struct kn_http_req *req)
{
    struct kn_str method = kn_http_method(req), path = kn_http_path(req);
    if (!api->unknown.op || !kn_str_eq(path, KN_STR("/")))
        return kn_api_find(api, path, method);
    const struct kn_api_entry *entry =
        kn_api_find(api, kn_http_header(req, "x-amz-target"), method);
    return entry && entry->op->target ? entry : &api->unknown;
}

static bool is_preflight(struct kn_http_req *req, const struct kn_api_entry *entry)
{
    bool aws = entry && entry->op->protocol == KN_API_AWS_JSON;
    return kn_str_eq(kn_http_method(req), KN_STR("OPTIONS")) &&
           (!aws || kn_http_header(req, "origin").ptr);
}

static size_t body_max(const struct kn_api_entry *entry)
{
    return entry->op->body_bytes_max ? entry->op->body_bytes_max : KN_API_BODY_BYTES_MAX;
}

static void on_too_large(struct kn_http_req *req KN_UNUSED, void *ctx)
{
    struct kn_api_call_state *state = ctx;
    (void) kn_api_raise(state, 413, "RequestEntityTooLargeException",
                        "The request's body is larger than %zu bytes.", body_max(state->entry));
    finish(state);
}

static int on_head(struct kn_http_req *req, void **ctx)
{
    struct kn_api *api = *ctx;
    *ctx = NULL;
    const struct kn_api_entry *entry = find_entry(api, req);
    if (is_preflight(req, entry)) {
        kn_api_reply_preflight(req, api->conf.keyring != NULL);
        return 0;
    }
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
    else if (kn_api_is_aws(state) && kn_api_front_begin(state) < 0)
        finish(state);
    else if (entry->op->input_stream)
        start(state); /* the body belongs to whoever takes the request */
    else
        kn_http_collect(req, body_max(entry));
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
    if (!state)
        return;
    if ((bits & KN_HTTP_WAKE_JOB) && state->step == KN_API_STEP_KEY)
        proceed(state);
    else if ((bits & KN_HTTP_WAKE_JOB) && state->step == KN_API_STEP_HANDLER)
        after_handler(state);
    else if ((bits & KN_API_WAKE_RESUMED) && state->step == KN_API_STEP_SUSPENDED)
        after_handler(state);
}

static void on_gone(struct kn_http_req *req, void *ctx, enum kn_http_why why)
{
    struct kn_api_call_state *state = ctx;
    if (!state)
        return;
    if (state->take_ops) /* the peer left before the hand-over */
        state->take_ops->gone(req, state->take_ctx, why);
    state->take_ops = NULL;
    if (kn_api_leave(state))
        kn_api_state_free(state);
}

const struct kn_http_ops kn_api_ops = {
    .head = on_head,
    .too_large = on_too_large,
    .end = on_end,
    .wake = on_wake,
    .gone = on_gone,
};

/* --- without a signature ---------------------------------------------------------------------- */
int kn_api_run(struct kn_api *api, const struct kn_api_errand *errand, struct kn_buf *dst,
               struct kn_api_refusal *ret)
{
    const struct kn_api_entry *entry = kn_api_find_action(api, kn_str_from(errand->action));
    struct kn_api_call_state *state = entry ? state_new(api, entry, errand->req) : NULL;
    if (!state)
        return entry ? -ENOMEM : -ENOENT;
    kn_assert(!entry->op->input_stream && !entry->op->answer_stream);
    state->key = errand->key;
    state->call.key = errand->key;
    state->call.on_worker = true;
    int error = prepare(state, errand->body);
    if (!error) {
        handle(state);
        kn_assert(!state->suspended && !state->deferred);
    }
    const struct kn_api_raised *raised = &state->raised;
    error = raised->name ? -EACCES : kn_buf_append(dst, state->answer.ptr, state->answer.len);
    if (raised->name)
        *ret = (struct kn_api_refusal){raised->status, raised->name,
                                       kn_arena_str(errand->arena, raised->message)};
    kn_api_metrics_count(state);
    state->key = NULL; /* borrowed */
    kn_api_state_free(state);
    return error;
}
