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

bool kn_arn_is_ours(const struct kn_api_arn *arn, const struct kn_api_identity *identity,
                    const char *type)
{
    return kn_str_eq(arn->type, kn_str_from(type)) &&
           kn_str_eq(arn->partition, kn_str_from(identity->partition)) &&
           kn_str_eq(arn->region, kn_str_from(identity->region)) &&
           kn_str_eq(arn->account, kn_str_from(identity->account));
}
