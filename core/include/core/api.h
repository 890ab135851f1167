/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API engine: route → authenticate → decode → validate → authorise → handle → encode.
 *
 * An operation is one data file (<module>/api/<Name>.json). core/api/gen.py turns a module's files
 * into "<module>_api.h" (structs, enums, handler prototypes) and tables without logic. What is left
 * to write is the handler:
 *
 *   int ingest_op_DescribeStream(struct ingest *m, const struct ingest_DescribeStream_in *in,
 *                                struct ingest_DescribeStream_out *out, struct kn_api_call *call);
 *
 * It fills *out (from the call's arena; borrowed pointers must live until the answer is encoded)
 * and returns 0, or returns kn_api_fault(…) with a fault its row declares, or a negative errno that
 * core/src/api_errno.c maps to an answer, or kn_api_suspend(…) when the answer comes later. Members
 * in the generated structs: string, blob  struct kn_str / kn_bytes, ptr NULL = absent; a blob
 * "view": struct kn_api_blob number        struct kn_api_i64 {bool set; int64_t v;}; timestamps
 * too, in wall ms boolean       struct kn_api_bool enum          enum <module>_<Name>, first value
 * <MODULE>_<Name>_ABSENT = 0 structure     pointer, NULL = absent;  list / map: {ptr items, size_t
 * count}, with `set`
 */
#ifndef CORE_API_H
#define CORE_API_H

#include "core/buf.h"
#include "core/clock.h"
#include "core/http.h"
#include "core/keyring.h"

struct kn_api_i64 {
    bool set;
    int64_t v;
};
struct kn_api_bool {
    bool set;
    bool v;
};
struct kn_api_double {
    bool set;
    double v;
};

struct kn_api_str_list {
    bool set;
    size_t count;
    const struct kn_str *items;
};
struct kn_api_i64_list {
    bool set;
    size_t count;
    const int64_t *items;
};
struct kn_api_pair {
    struct kn_str key, value;
};
struct kn_api_map {
    bool set;
    size_t count;
    const struct kn_api_pair *items;
};

/* A blob as it came, for handlers that read many: kn_api_blob_read puts it where it will stay. */
struct kn_api_blob {
    struct kn_bytes wire; /* ptr NULL = absent; lives as long as the call */
    size_t len;           /* bytes it stands for */
    bool is_base64;       /* wire is text; else the bytes themselves */
};

struct kn_api_operation; /* one operation's generated tables; see core/api_row.h */

/* A module's operations, generated: `extern const struct kn_api_service ingest_api_service;` */
struct kn_api_service {
    const char *module;
    const struct kn_api_operation *const *operations;
    size_t operation_count;
};

struct kn_api_identity {   /* whose cloud this is, in ARNs and scopes */
    const char *partition; /* "aws" */
    const char *region;    /* "us-east-1" */
    const char *account;   /* "000000000000" */
};

struct kn_api_call {
    struct kn_http_req *req;
    struct kn_arena *arena;
    const struct kn_api_operation *operation;
    const struct kn_api_identity *identity;
    const struct kn_key *key; /* who asks; NULL under --no-auth */
    struct kn_clock *clock;
    char request_id[37];
    bool on_worker;                  /* the handler may block */
    struct kn_api_call_state *state; /* the engine's own */
};

/* Answers with a fault of the operation's row. name: as in the operation file,
 * "ResourceNotFoundException". Returns -ECANCELED for the handler to return. */
int kn_api_fault(struct kn_api_call *call, const char *name, const char *fmt, ...) KN_PRINTF(3, 4);
/* Answers with the fault and reason of the operation's file, for the part that it refuses. */
int kn_api_refuse(struct kn_api_call *call);

/* Writes the blob->len bytes of a view to dst. 0, or raises SerializationException (a character
 * that is no base64) and returns what the handler is to return. */
int kn_api_blob_read(struct kn_api_call *call, const struct kn_api_blob *blob, uint8_t *dst)
    KN_MUSTUSE;

/* For operations whose resource is inside a token (`resource.token`): may the caller do this to
 * that stream? 0 or what the handler is to return; to be asked before anything of the stream is
 * told. */
int kn_api_permit(struct kn_api_call *call, struct kn_str stream) KN_MUSTUSE;

/* The answer comes later. Call suspend first, hand the work on, return suspend's result; then
 * exactly one kn_api_resume from any thread, with what the handler would have returned (`out`
 * filled or a fault raised before it). It may come before the handler has returned. Meanwhile the
 * call's arena stays, even when the peer leaves; its request and body do not, and texts and views
 * of `in` may lie in the body: copy what is needed. All calls must be resumed before kn_api_free.
 */
int kn_api_suspend(struct kn_api_call *call) KN_MUSTUSE;
void kn_api_resume(struct kn_api_call *call, int result);

/* Called on the request's loop once the call is resumed with 0, unless the peer has left: what it
 * returns is the result. So whoever ends many calls only notes what came of each. After suspend,
 * before the work is handed on. */
typedef int kn_api_resumed_fn(struct kn_api_call *call, void *ctx);
void kn_api_on_resume(struct kn_api_call *call, kn_api_resumed_fn *fn, void *ctx);

/* A handler that does not block but for once must (call->on_worker is false): it lets go of all it
 * has and returns this; the engine calls it again, with a blank `out`, on a worker of the lane. */
int kn_api_defer(struct kn_api_call *call, enum kn_http_lane lane) KN_MUSTUSE;

/* When the request's head had come, of the call's clock. */
int64_t kn_api_started_ns(const struct kn_api_call *call);

/* What `out` points into besides the arena: released once the answer has been encoded, or when
 * there will be none. At most one a call. */
void kn_api_keep(struct kn_api_call *call, void (*release)(void *arg), void *arg);

/* About so many bytes will the answer have: it need not grow to that step by step. */
void kn_api_expect(struct kn_api_call *call, size_t answer_bytes);

/* One structure as a JSON object: the events of a streamed answer. -ENOMEM, -EMSGSIZE. */
struct kn_api_structure;
int kn_api_encode_json(const struct kn_api_structure *structure, const void *src,
                       struct kn_buf *dst);

/* For operations whose answer (GetMedia) or body (PutMedia) is a stream: once the handler has
 * returned 0, the request is handed to ops (kn_http_hand_over) on its loop. ops->gone must free
 * ctx. The call and its arena live until gone(). */
void kn_api_take(struct kn_api_call *call, const struct kn_http_ops *ops, void *ctx);

/* The headers of a streamed answer, as every answer has them: x-amzn-RequestId, content-type, CORS.
 * Returns how many; the values live as long as the call. */
enum {
    KN_API_STREAM_HEADERS = 8
};
size_t kn_api_stream_headers(struct kn_api_call *call, const char *content_type,
                             struct kn_http_header dst[KN_API_STREAM_HEADERS]);

/* The name of the stream or channel an operation speaks of, out of its StreamName and StreamARN
 * members (either may be absent, ptr NULL). Raises InvalidArgumentException when neither is there
 * or they disagree; returns 0 or what the handler is to return. ret_arn_created_ms: creation time
 * in the ARN, 0 without one; may be NULL. */
int kn_api_resource_name(struct kn_api_call *call, struct kn_str name, struct kn_str arn,
                         struct kn_str *ret, int64_t *ret_arn_created_ms) KN_MUSTUSE;

/* Raises InvalidArgumentException for a key that begins with aws:, in letters of any case: those
 * tags are AWS's own, and nobody may add them (AWS, Tagging your resources, "Tag naming limits").
 */
int kn_api_tag_key_check(struct kn_api_call *call, struct kn_str key) KN_MUSTUSE;

/* "arn:aws:kinesisvideo:<region>:<account>:<type>/<name>/<creation ms>", or of a data stream
 * "arn:aws:kinesis:<region>:<account>:stream/<name>" and what may follow that:
 * "/consumer/<consumer>:<creation s>" */
struct kn_api_arn {
    struct kn_str partition, service, region, account, type, name;
    struct kn_str consumer; /* ptr NULL: of no consumer */
    int64_t created_ms;     /* 0: a data stream */
};
int kn_api_arn_parse(struct kn_str text, struct kn_api_arn *ret) KN_MUSTUSE; /* -EINVAL */

struct kn_api_conf {
    const struct kn_api_identity *identity;
    struct kn_clock *clock;
    struct kn_keyring *keyring; /* NULL: --no-auth */
    const char *pinned_region;  /* NULL: any region in the credential scope */
    int64_t skew_ms;
    bool aws_limits; /* operations are called no more often than AWS lets them be */
    bool allow_unsigned_payload_plain; /* off loopback, without TLS */
    const char
        *allowed_hosts; /* --no-auth: Host names besides localhost and addresses, "a,b"; NULL */
};

struct kn_api; /* the engine; a handler for a listener */
int kn_api_new(const struct kn_api_conf *conf, struct kn_api **ret) KN_MUSTUSE;
void kn_api_free(struct kn_api *api);
/* module_ctx is the first argument of the module's handlers. Before serving. */
int kn_api_add(struct kn_api *api, const struct kn_api_service *service, void *module_ctx)
    KN_MUSTUSE;
extern const struct kn_http_ops kn_api_ops; /* ctx: struct kn_api * */

/* --- without a signature ---------------------------------------------------------------------- */
/* A call of somebody who is known already, such as a login of the console. */
struct kn_api_errand {
    struct kn_http_req *req; /* of which it is a part: its head is read */
    struct kn_arena *arena;  /* for what is refused */
    const char *action;      /* "kinesisvideo:CreateStream": JSON both ways, and never suspended */
    struct kn_key *key;      /* who asks, borrowed; NULL under --no-auth */
    struct kn_bytes body;    /* as the operation's, borrowed */
};
struct kn_api_refusal {
    int status;
    const char *fault; /* "ResourceInUseException" */
    struct kn_str message;
};
/* decode → validate → authorise → handle → encode, with what any call leaves in log and metrics.
 * The answer is appended to dst; nothing, where the operation answers with nothing. On a worker of
 * req; blocks. -EACCES: refused, and *ret says how; -ENOENT: no such operation; -ENOMEM. */
int kn_api_run(struct kn_api *api, const struct kn_api_errand *errand, struct kn_buf *dst,
               struct kn_api_refusal *ret) KN_MUSTUSE;

/* Writes one error answer in the AWS rest-json form: x-amzn-ErrorType, x-amzn-RequestId and
 * {"Message": …}. For resources outside the operation table (HLS, DASH). */
void kn_api_reply_error(struct kn_http_req *req, int status, const char *name, const char *message);

/* A random UUID as text. */
void kn_api_uuid(char dst[37]);

#endif
