/* SPDX-License-Identifier: Apache-2.0 */
/* The resource of a call: by its name, by its ARN, or by both when they agree. */
#include "api_private.h"

int kn_api_resource_name(struct kn_api_call *call, struct kn_str name, struct kn_str arn,
                         struct kn_str *ret, int64_t *ret_arn_created_ms)
{
    struct kn_api_arn parsed = {0};
    if (!name.ptr && !arn.ptr)
        return kn_api_fault(call, "InvalidArgumentException",
                            "Either the name or the ARN of the resource must be given.");
    if (arn.ptr && kn_api_arn_parse(arn, &parsed) < 0)
        return kn_api_fault(call, "InvalidArgumentException", "The ARN is malformed.");
    if (name.ptr && arn.ptr && !kn_str_eq(name, parsed.name))
        return kn_api_fault(call, "InvalidArgumentException",
                            "The name and the ARN are of different resources.");
    *ret = name.ptr ? name : parsed.name;
    if (ret_arn_created_ms)
        *ret_arn_created_ms = parsed.created_ms;
    return 0;
}

int kn_api_tag_key_check(struct kn_api_call *call, struct kn_str key)
{
    const struct kn_str reserved = KN_STR("aws:");
    if (key.len < reserved.len ||
        !kn_str_eq_nocase((struct kn_str){key.ptr, reserved.len}, reserved))
        return 0;
    return kn_api_fault(call, "InvalidArgumentException",
                        "aws: prefixed tag key names are not allowed for external use.");
}
