/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May this key do this to that stream? Every name a request gives is asked for: a name and an ARN
 * that disagree must not let one pass for the other. Full policies will stand behind the same call.
 */
#include "api_private.h"

#include "core/keyring.h"

static struct kn_str lowered(struct kn_str s, char *dst, size_t cap)
{
    size_t len = (size_t) kn_min_u64(s.len, cap);
    for (size_t i = 0; i < len; i++)
        dst[i] = (char) (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? s.ptr[i] - 'A' + 'a' : s.ptr[i]);
    return (struct kn_str){dst, len};
}

bool kn_key_allows(const struct kn_key *key, struct kn_str action, struct kn_str stream)
{
    char a[128], b[128];
    struct kn_str wanted = lowered(action, a, sizeof a);
    if (action.len > sizeof a)
        return false;
    for (size_t i = 0; i < key->grant_count; i++) {
        const struct kn_key_grant *grant = &key->grants[i];
        if (grant->action.len > sizeof b ||
            !kn_str_glob(lowered(grant->action, b, sizeof b), wanted))
            continue;
        if (stream.len ? kn_str_glob(grant->stream, stream) : kn_str_eq(grant->stream, KN_STR("*")))
            return true;
    }
    return false;
}

static struct kn_str member(const struct kn_api_call_state *state, const struct kn_api_row *row)
{
    if (!row)
        return (struct kn_str){NULL, 0};
    return *(const struct kn_str *) kn_api_member_const(state->in, row);
}

static int deny(struct kn_api_call_state *state, struct kn_str resource)
{
    const struct kn_api_operation *op = state->entry->op;
    const struct kn_api_fault_row *row = kn_api_fault_find(op, "NotAuthorizedException");
    row = row ? row : kn_api_fault_find(op, "AccessDeniedException");
    return kn_api_raise(state, row ? row->status : 403, row ? row->name : "AccessDeniedException",
                        "User: " KN_STR_FMT " is not authorized to perform: %s on resource: "
                        "" KN_STR_FMT,
                        KN_STR_ARG(state->key->id), op->action,
                        KN_STR_ARG(resource.len ? resource : KN_STR("*")));
}

static int permit_arn(struct kn_api_call_state *state, struct kn_str text, bool *asked)
{
    struct kn_api_arn arn;
    if (!text.ptr || kn_api_arn_parse(text, &arn) < 0)
        return 0;
    *asked = true;
    if (!state->resource.len)
        state->resource = arn.name;
    if (!state->key || kn_key_allows(state->key, kn_str_from(state->entry->op->action), arn.name))
        return 0;
    return deny(state, text);
}

int kn_api_authorise(struct kn_api_call_state *state)
{
    const struct kn_api_operation *op = state->entry->op;
    struct kn_str name = member(state, op->resource_name);
    bool asked = member(state, op->resource_token).ptr; /* the handler asks: kn_api_permit */
    state->permitted = !asked;
    state->resource = name;
    for (size_t i = 0; i < KN_ARRAY_LEN(op->resource_arns); i++) {
        int error = permit_arn(state, member(state, op->resource_arns[i]), &asked);
        if (error)
            return error;
    }
    if (!state->key) /* --no-auth */
        return 0;
    if ((name.len || !asked) && !kn_key_allows(state->key, kn_str_from(op->action), name))
        return deny(state, name);
    return 0;
}

int kn_api_permit(struct kn_api_call *call, struct kn_str stream)
{
    struct kn_api_call_state *state = call->state;
    state->permitted = true;
    if (!state->resource.len)
        state->resource = kn_arena_str(&state->arena, stream);
    if (!state->key || kn_key_allows(state->key, kn_str_from(state->entry->op->action), stream))
        return 0;
    (void) deny(state, stream);
    return -ECANCELED;
}
