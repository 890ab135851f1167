/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of streams and channels, as members or inside ARNs.
 * Source: AWS Service Authorization Reference. Kinesis Video Streams: the resource part is
 * "stream/<name>/<creation time in ms>" or "channel/…"; Kinesis Data Streams: "stream/<name>" or
 * "stream/<name>/consumer/<name>:<creation time in s>".
 */
#include "api_private.h"

static int parse_data_stream(struct kn_str rest, struct kn_api_arn *arn)
{
    struct kn_str word, created;
    rest = kn_str_cut(rest, '/', &arn->name);
    if (!kn_str_eq(arn->type, KN_STR("stream")) || !arn->name.len)
        return -EINVAL;
    if (!rest.ptr)
        return 0;
    rest = kn_str_cut(rest, '/', &word);
    created = kn_str_cut(rest, ':', &arn->consumer);
    if (!kn_str_eq(word, KN_STR("consumer")) || !arn->consumer.len || !created.ptr ||
        kn_str_to_i64(created, &arn->created_ms) < 0 || arn->created_ms < 0 ||
        arn->created_ms > INT64_MAX / 1000)
        return -EINVAL;
    arn->created_ms *= 1000;
    return 0;
}

int kn_api_arn_parse(struct kn_str text, struct kn_api_arn *ret)
{
    struct kn_api_arn arn = {0};
    struct kn_str rest, prefix, created;
    rest = kn_str_cut(text, ':', &prefix);
    rest = kn_str_cut(rest, ':', &arn.partition);
    rest = kn_str_cut(rest, ':', &arn.service);
    rest = kn_str_cut(rest, ':', &arn.region);
    rest = kn_str_cut(rest, ':', &arn.account);
    rest = kn_str_cut(rest, '/', &arn.type);
    if (kn_str_eq(prefix, KN_STR("arn")) && kn_str_eq(arn.service, KN_STR("kinesis"))) {
        int error = parse_data_stream(rest, &arn);
        if (!error)
            *ret = arn;
        return error;
    }
    created = kn_str_cut(rest, '/', &arn.name);
    if (!kn_str_eq(prefix, KN_STR("arn")) || !created.ptr || !arn.type.len || !arn.name.len ||
        kn_str_to_i64(created, &arn.created_ms) < 0 || arn.created_ms < 0)
        return -EINVAL;
    *ret = arn;
    return 0;
}

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
