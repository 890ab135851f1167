/* SPDX-License-Identifier: Apache-2.0 */
/* ARNs as Kinesis Video Streams makes them: the last part is the 13-digit creation time in ms. */
#include "core/arn.h"

struct kn_str kn_arn_format(struct kn_arena *arena, const struct kn_api_identity *identity,
                            const char *type, struct kn_str name, int64_t created_ms)
{
    return kn_arena_printf(arena, "arn:%s:kinesisvideo:%s:%s:%s/" KN_STR_FMT "/%" PRId64,
                           identity->partition, identity->region, identity->account, type,
                           KN_STR_ARG(name), created_ms);
}

int kn_arn_not_found(struct kn_api_call *call, const struct kn_api_arn *arn, struct kn_str text)
{
    const struct kn_api_identity *identity = call->identity;
    if (kn_str_eq(arn->region, kn_str_from(identity->region)) &&
        kn_str_eq(arn->account, kn_str_from(identity->account)))
        return kn_api_fault(call, "ResourceNotFoundException", KN_STR_FMT, KN_STR_ARG(text));
    return kn_api_fault(call, "ResourceNotFoundException",
                        KN_STR_FMT " The ARN is of region " KN_STR_FMT " and account " KN_STR_FMT
                                   "; this server's are %s and %s.",
                        KN_STR_ARG(text), KN_STR_ARG(arn->region), KN_STR_ARG(arn->account),
                        identity->region, identity->account);
}

bool kn_arn_is_ours(const struct kn_api_arn *arn, const struct kn_api_identity *identity,
                    const char *type)
{
    return kn_str_eq(arn->type, kn_str_from(type)) &&
           kn_str_eq(arn->partition, kn_str_from(identity->partition)) &&
           kn_str_eq(arn->region, kn_str_from(identity->region)) &&
           kn_str_eq(arn->account, kn_str_from(identity->account));
}
