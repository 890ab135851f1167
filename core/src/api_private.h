/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the API engine. One request is a kn_api_call_state; each stage reads what
 * the one before left there and returns 0 or -EACCES with state->raised filled:
 *
 *   api.c  order of the stages, threads         api_route.c       which operation is meant
 *   api_auth.c  who asks                        api_codec_*.c     decode (api_decode.c), encode
 *   api_authorise.c  may they                   api_validate.c    constraints
 *   api_rate.c  not too often
 *   api_front.c  awsJson's odd forms            api_reply*.c      answers as the SDKs read them
 */
#ifndef CORE_SRC_API_PRIVATE_H
#define CORE_SRC_API_PRIVATE_H

#include <stdatomic.h>

#include "core/api.h"
#include "core/api_row.h"
#include "core/cbor.h"
#include "core/json.h"
#include "core/metrics.h"
#include "core/sigv4.h"

enum {
    KN_API_BODY_BYTES_MAX = 1 << 20,    /* of a request; the longest KVS input is 130 KB */
    KN_API_ARENA_BYTES_MAX = 32 << 20,  /* one call's input and answer: ListStreams of 10,000 */
    KN_API_ANSWER_BYTES_MAX = 32 << 20, /* the same, encoded */
    KN_API_NESTING_MAX = 16,            /* of the tables; checked when a service is added */
    KN_API_MEMBERS_MAX = 64,            /* of one structure */
    KN_API_VIDEO_VIOLATIONS_MAX = 20, /* told in one answer; of data streams as many as AWS tells */
    KN_API_DATA_VIOLATIONS_MAX = 10,
    KN_API_MESSAGE_BYTES_MAX = 8192,
    KN_API_FAULT_BYTES_MAX = 65536, /* a message, escaped */
    KN_API_OPERATIONS_MAX = 256,
    KN_API_ID_2_TEXT = 100,          /* x-amz-id-2, with a NUL */
    KN_API_ENUM_UNKNOWN = INT32_MAX, /* a value the table does not list; its text is kept aside */
};

/* --- values in generated structs ------------------------------------------------------------- */
static inline void *kn_api_member(void *base, const struct kn_api_row *row)
{
    return (char *) base + row->offset;
}
static inline const void *kn_api_member_const(const void *base, const struct kn_api_row *row)
{
    return (const char *) base + row->offset;
}

/* Steps through a filled struct and all it holds, in order, without recursion. */
enum kn_api_event_kind {
    KN_API_VALUE, /* a scalar or a map that is there */
    KN_API_ABSENT,
    KN_API_STRUCTURE_BEGIN,
    KN_API_STRUCTURE_END,
    KN_API_LIST_BEGIN, /* ptr: struct kn_api_list */
    KN_API_LIST_END,
};
struct kn_api_event {
    enum kn_api_event_kind kind;
    const struct kn_api_row *row; /* NULL: an item of a list, or the root */
    const struct kn_api_shape *shape;
    const void *ptr;
};
struct kn_api_frame {
    const struct kn_api_row *row;             /* under which this container lies */
    const struct kn_api_structure *structure; /* NULL: a list */
    const struct kn_api_shape *list;
    const void *base;
    size_t at, count;
};
struct kn_api_walk {
    struct kn_api_frame stack[KN_API_NESTING_MAX];
    unsigned depth;
};
void kn_api_walk_init(struct kn_api_walk *walk, const struct kn_api_structure *structure,
                      const void *base);
bool kn_api_walk_next(struct kn_api_walk *walk, struct kn_api_event *ret); /* false: at the end */
size_t kn_api_present(const struct kn_api_structure *structure, const void *base); /* members */

/* --- codecs ----------------------------------------------------------------------------------- */
struct kn_api_unknown_enum { /* what a client wrote instead of a listed value */
    const void *at;
    struct kn_str text;
    struct kn_api_unknown_enum *next;
};
struct kn_api_decode {
    struct kn_arena *arena;
    bool coral; /* convert as Kinesis does: numbers are cut, "yes" is true */
    struct kn_api_unknown_enum *unknown;
    struct kn_str problem; /* after -EBADMSG: what AWS says to it; ptr NULL: nothing */
};

enum kn_api_token { /* in the order of the JSON and CBOR readers' own */
    KN_API_OBJECT,
    KN_API_OBJECT_END,
    KN_API_ARRAY,
    KN_API_ARRAY_END,
    KN_API_KEY,
    KN_API_TEXT,
    KN_API_NUMBER,
    KN_API_TRUE,
    KN_API_FALSE,
    KN_API_NULL,
    KN_API_END, /* of the document */
    KN_API_BYTES,
};
struct kn_api_source { /* a body as tokens */
    const struct kn_api_source_ops *ops;
    union {
        struct kn_json_reader json;
        struct kn_cbor_reader cbor;
    };
};
struct kn_api_source_ops { /* each 0, -EBADMSG, -EINVAL (numbers) or -ENOMEM */
    int (*next)(struct kn_api_source *in, enum kn_api_token *ret);
    int (*skip)(struct kn_api_source *in, enum kn_api_token first);
    int (*text)(struct kn_api_source *in, struct kn_arena *arena, struct kn_str *ret);
    int (*i64)(struct kn_api_source *in, int64_t *ret);
    int (*epoch_ms)(struct kn_api_source *in, int64_t *ret);
    int (*real)(struct kn_api_source *in, double *ret);
};
int kn_api_decode_tokens(struct kn_api_decode *ctx, struct kn_api_source *in,
                         const struct kn_api_structure *structure, void *dst) KN_MUSTUSE;
int kn_api_check_tokens(struct kn_api_source *in) KN_MUSTUSE;

struct kn_api_codec {
    const char *content_type;
    bool coral; /* errors are {"__type", "message"}, and kn_api_decode.coral */
    /* -EBADMSG: not of the right form or type; -ENOMEM. dst is zeroed. */
    int (*decode)(struct kn_api_decode *ctx, struct kn_bytes body,
                  const struct kn_api_structure *structure, void *dst);
    int (*check)(struct kn_bytes body); /* is it an object at all? -EBADMSG */
    int (*encode)(const struct kn_api_structure *structure, const void *src, struct kn_buf *dst);
    /* member NULL: no message */
    void (*fault)(const char *type, const char *member, struct kn_str message, struct kn_buf *dst);
};
extern const struct kn_api_codec kn_api_rest_json, kn_api_aws_json, kn_api_aws_cbor;

/* Notes what AWS says to a text that is no base64; -EBADMSG. */
int kn_api_blob_problem(struct kn_api_decode *ctx, struct kn_str text);

/* Scalars from text that has no type of its own. -EBADMSG. */
int kn_api_decode_text(struct kn_api_decode *ctx, const struct kn_api_shape *shape,
                       struct kn_str text, void *dst) KN_MUSTUSE;
/* Members of structure that are located in headers. */
int kn_api_decode_headers(struct kn_api_decode *ctx, struct kn_http_req *req,
                          const struct kn_api_structure *structure, void *dst) KN_MUSTUSE;
/* Stores an enum by its spelling, or notes that there is none. */
int kn_api_decode_enum(struct kn_api_decode *ctx, const struct kn_api_shape *shape,
                       struct kn_str text, void *dst) KN_MUSTUSE;

struct kn_api_dialect { /* how a service tells violations */
    const char *fault;
    size_t violations_max;      /* told in one answer */
    const char *before, *after; /* a structure's name in a list */
};
/* Checks every constraint; appends AWS's message to dst, which stays empty when all hold. */
void kn_api_validate(const struct kn_api_structure *structure, const void *base,
                     const struct kn_api_unknown_enum *unknown,
                     const struct kn_api_dialect *dialect, struct kn_buf *dst);

/* --- signatures ------------------------------------------------------------------------------- */
struct kn_api_signing_keys; /* derived keys of the day, so that a call costs two HMACs, not six */
int kn_api_signing_keys_new(struct kn_api_signing_keys **ret) KN_MUSTUSE;
void kn_api_signing_keys_free(struct kn_api_signing_keys *keys);
void kn_api_signing_key(struct kn_api_signing_keys *keys, const struct kn_key *key,
                        const struct kn_sigv4_auth *auth, uint8_t ret[KN_SIGV4_KEY_BYTES]);

struct kn_api_replay; /* signatures that may not be used again */
int kn_api_replay_new(struct kn_api_replay **ret) KN_MUSTUSE;
void kn_api_replay_free(struct kn_api_replay *replay);
/* -EEXIST: seen before; -EDQUOT: too many are remembered. */
int kn_api_replay_add(struct kn_api_replay *replay, struct kn_str signature, int64_t now_ms,
                      int64_t until_ms) KN_MUSTUSE;

/* --- one call --------------------------------------------------------------------------------- */
struct kn_api_entry { /* one operation of one module */
    const struct kn_api_operation *op;
    void *module;
    struct kn_metric *requests, *seconds;
};

struct kn_api {
    struct kn_api_conf conf;
    struct kn_api_entry entries[KN_API_OPERATIONS_MAX]; /* sorted by target or route, then method */
    size_t entry_count;
    struct kn_api_entry unknown; /* awsJson's, for a target that nobody has; op NULL: no awsJson */
    struct kn_api_signing_keys *signing_keys;
    struct kn_api_replay *replay;
    struct kn_api_rates *rates; /* NULL: AWS's are not kept */
};

struct kn_api_raised { /* the fault to answer */
    int status;
    const char *name; /* NULL: none */
    const char *message_member;
    struct kn_str message;
    bool envelope; /* coral's form, without x-amzn-ErrorType */
    bool bare;     /* awsJson: no message at all */
    bool xml;      /* awsJson: for a content type that is not the service's; message NULL: short */
};

enum kn_api_step {
    KN_API_STEP_NONE,
    KN_API_STEP_KEY,
    KN_API_STEP_HANDLER,
    KN_API_STEP_SUSPENDED,
    KN_API_STEP_DONE
};

struct kn_api_call_state {
    struct kn_api_call call;
    struct kn_api *api;
    const struct kn_api_entry *entry;
    const struct kn_api_codec *codec;
    struct kn_arena arena;
    int64_t started_ns;
    enum kn_api_step step;
    struct kn_sigv4_request signed_req;
    struct kn_sigv4_auth auth;
    struct kn_key *key;
    int key_result;
    void *in, *out;
    struct kn_api_raised raised;
    struct kn_buf answer;
    const struct kn_http_ops *take_ops;
    void *take_ctx;
    struct kn_str resource; /* for the log */
    char id_2[KN_API_ID_2_TEXT];
    bool permitted; /* resource_token: the handler has asked */
    bool suspended; /* the handler has promised an answer */
    bool deferred;  /* the handler is to be called again, on a worker of the lane */
    enum kn_http_lane lane;
    kn_api_resumed_fn *resumed_fn;
    void *resumed_ctx;
    void (*kept_release)(void *arg); /* kn_api_keep */
    void *kept;
    atomic_int async; /* api_async.c */
    struct kn_http_ref ref;
    int async_result;
};
enum {
    KN_API_WAKE_RESUMED = 1
};
void kn_api_state_free(struct kn_api_call_state *state);
bool kn_api_is_resumed(struct kn_api_call_state *state);
bool kn_api_leave(struct kn_api_call_state *state); /* false: whoever resumes it frees it */

/* api_route.c. NULL: there is none. The parts of a target are before and behind its point. */
const struct kn_api_entry *kn_api_find(const struct kn_api *api, struct kn_str route,
                                       struct kn_str method);
const struct kn_api_entry *kn_api_find_action(const struct kn_api *api, struct kn_str action);
static inline bool kn_api_is_aws(const struct kn_api_call_state *state)
{
    return state->entry->op->protocol == KN_API_AWS_JSON;
}

/* api_front.c: what awsJson checks before who asks (begin: at the head, without a body), and what
 * outranks a failure of that check. 0, or -EACCES with the answer raised. */
int kn_api_front_begin(struct kn_api_call_state *state) KN_MUSTUSE;
int kn_api_front_body(struct kn_api_call_state *state) KN_MUSTUSE;
int kn_api_front_claims(struct kn_api_call_state *state) KN_MUSTUSE;
void kn_api_front_failed(struct kn_api_call_state *state);

/* Raises any fault, declared or not; returns -EACCES. */
int kn_api_raise(struct kn_api_call_state *state, int status, const char *name, const char *fmt,
                 ...) KN_PRINTF(4, 5);
/* problem: AWS's text, ptr NULL: none. */
void kn_api_raise_serialization(struct kn_api_call_state *state, struct kn_str problem);
/* Turns what a handler returned into a fault (api_errno.c). */
void kn_api_raise_errno(struct kn_api_call_state *state, int error);
/* Too many answers wait to be read for another one: what SDKs repeat. */
void kn_api_raise_crowded(struct kn_api_call_state *state);
const struct kn_api_fault_row *kn_api_fault_find(const struct kn_api_operation *op,
                                                 const char *name); /* NULL: not declared */

/* api_auth.c: claims and key (-EAGAIN: the key must be asked for on a worker), then signature. */
int kn_api_auth_begin(struct kn_api_call_state *state) KN_MUSTUSE;
void kn_api_auth_find_blocking(struct kn_api_call_state *state); /* fills key and key_result */
int kn_api_auth_finish(struct kn_api_call_state *state) KN_MUSTUSE;
/* Under --no-auth: any web page can post to this address; browsers say where it came from. */
int kn_api_check_origin(struct kn_api_call_state *state) KN_MUSTUSE;
bool kn_api_is_own_host(struct kn_str host, const char *allowed);

int kn_api_authorise(struct kn_api_call_state *state) KN_MUSTUSE;

/* api_rate.c: AWS's limits of calls a second. */
int kn_api_rates_new(struct kn_api_rates **ret) KN_MUSTUSE;
void kn_api_rates_free(struct kn_api_rates *rates);
int kn_api_rates_check(struct kn_api_call_state *state) KN_MUSTUSE;

void kn_api_reply_fault(struct kn_api_call_state *state);
void kn_api_reply_aws(struct kn_api_call_state *state); /* fault or answer */
/* type NULL: none is named. The values live as long as the call and id_2. */
size_t kn_api_aws_headers(struct kn_api_call_state *state, const char *type,
                          char id_2[KN_API_ID_2_TEXT],
                          struct kn_http_header dst[KN_API_STREAM_HEADERS]);
void kn_api_write_envelope(struct kn_buf *body, const char *name, bool null_message);
void kn_api_reply_answer(struct kn_api_call_state *state);
void kn_api_reply_unknown(struct kn_http_req *req, bool cors);
void kn_api_reply_preflight(struct kn_http_req *req, bool allowed);

void kn_api_metrics_bind(struct kn_api_entry *entry);
void kn_api_metrics_count(struct kn_api_call_state *state); /* once a call, with its log line */

#endif
