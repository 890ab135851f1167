/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource policies of streams and consumers. AWS evaluates them when another account asks; here
 * all callers are of one account, so a policy is kept and given back, and permits nobody more or
 * less (who may do what is said by the access keys).
 */
#include "resource.h"

#include <errno.h>

#include "core/json.h"

struct edit {
    struct kn_api_call *call;
    struct kn_str arn;
    struct kn_str policy; /* ptr NULL: away with it */
};

static int change(void *ctx, struct datastream_settings *draft)
{
    struct edit *edit = ctx;
    if (!edit->policy.ptr && !draft->policy.ptr)
        return kn_api_fault(edit->call, "ResourceNotFoundException",
                            "No resource policy found for resource ARN " KN_STR_FMT,
                            KN_STR_ARG(edit->arn));
    draft->policy = edit->policy;
    return 0;
}

static int run(struct datastream *ds, struct edit *edit)
{
    struct datastream_resource resource = {0};
    int r = datastream_resource_find(ds, edit->call, edit->arn, &resource);
    if (r == 0)
        r = datastream_resource_change(ds, edit->call, &resource, change, edit);
    datastream_resource_done(&resource);
    return r;
}

/* One JSON object with statements; what they say is not judged. */
static bool is_policy(struct kn_str text)
{
    struct kn_json_reader r;
    enum kn_json_token token;
    bool has_statement = false;
    kn_json_reader_init(&r, kn_bytes_of(text));
    if (kn_json_next(&r, &token) < 0 || token != KN_JSON_OBJECT)
        return false;
    while (kn_json_next(&r, &token) == 0 && token == KN_JSON_KEY) {
        bool is_statement = kn_str_eq(r.raw, KN_STR("Statement"));
        if (kn_json_next(&r, &token) < 0 ||
            (is_statement && token != KN_JSON_ARRAY && token != KN_JSON_OBJECT) ||
            kn_json_skip(&r, token) < 0)
            return false;
        has_statement |= is_statement;
    }
    return has_statement && token == KN_JSON_OBJECT_END && kn_json_next(&r, &token) == 0 &&
           token == KN_JSON_DONE;
}

int datastream_op_PutResourcePolicy(struct datastream *ds,
                                    const struct datastream_PutResourcePolicy_in *in,
                                    struct datastream_PutResourcePolicy_out *out KN_UNUSED,
                                    struct kn_api_call *call)
{
    if (in->Policy.len > DATASTREAM_POLICY_BYTES_MAX)
        return kn_api_fault(call, "LimitExceededException",
                            "The policy is larger than %d bytes: it has %zu.",
                            DATASTREAM_POLICY_BYTES_MAX, in->Policy.len);
    if (!is_policy(in->Policy))
        return kn_api_fault(call, "InvalidArgumentException",
                            "The policy is not a JSON object with a Statement.");
    struct edit edit = {call, in->ResourceARN, in->Policy};
    return run(ds, &edit);
}

int datastream_op_DeleteResourcePolicy(struct datastream *ds,
                                       const struct datastream_DeleteResourcePolicy_in *in,
                                       struct datastream_DeleteResourcePolicy_out *out KN_UNUSED,
                                       struct kn_api_call *call)
{
    struct edit edit = {
        call, in->ResourceARN, {NULL, 0}
    };
    return run(ds, &edit);
}

/* None is told as an empty one. @source snapshots of the AWS service in LocalStack's tests */
int datastream_op_GetResourcePolicy(struct datastream *ds,
                                    const struct datastream_GetResourcePolicy_in *in,
                                    struct datastream_GetResourcePolicy_out *out,
                                    struct kn_api_call *call)
{
    struct datastream_resource resource;
    int r = datastream_resource_find(ds, call, in->ResourceARN, &resource);
    if (r < 0)
        return r;
    KN_CLEANUP(datastream_settings_unrefp)
    struct datastream_settings *settings = datastream_resource_settings(&resource);
    datastream_resource_done(&resource);
    out->Policy = kn_arena_str(call->arena, settings->policy.ptr ? settings->policy : KN_STR("{}"));
    return out->Policy.ptr ? 0 : -ENOMEM;
}
