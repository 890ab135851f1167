/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ARNs of streams and channels.
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
