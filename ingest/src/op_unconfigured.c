/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there may be in AWS and never is here: a stream's image generation, notifications, a mapped
 * channel, and channels themselves. Describing it says truthfully that there is none, and removing
 * it succeeds; setting it up is refused.
 */
#include "resource.h"

static int check_stream(struct ingest *ingest, struct kn_api_call *call, struct kn_str name,
                        struct kn_str arn)
{
    KN_CLEANUP(storage_stream_unrefp) struct storage_stream *stream = NULL;
    return ingest_stream_find(ingest, call, name, arn, &stream);
}

int ingest_op_DescribeImageGenerationConfiguration(
    struct ingest *ingest, const struct ingest_DescribeImageGenerationConfiguration_in *in,
    struct ingest_DescribeImageGenerationConfiguration_out *out, struct kn_api_call *call)
{
    (void) out;
    return check_stream(ingest, call, in->StreamName, in->StreamARN);
}

int ingest_op_DescribeNotificationConfiguration(
    struct ingest *ingest, const struct ingest_DescribeNotificationConfiguration_in *in,
    struct ingest_DescribeNotificationConfiguration_out *out, struct kn_api_call *call)
{
    (void) out;
    return check_stream(ingest, call, in->StreamName, in->StreamARN);
}

int ingest_op_UpdateImageGenerationConfiguration(
    struct ingest *ingest, const struct ingest_UpdateImageGenerationConfiguration_in *in,
    struct ingest_UpdateImageGenerationConfiguration_out *out, struct kn_api_call *call)
{
    (void) out;
    int r = check_stream(ingest, call, in->StreamName, in->StreamARN);
    return r == 0 && in->ImageGenerationConfiguration ? kn_api_refuse(call) : r;
}

int ingest_op_UpdateNotificationConfiguration(
    struct ingest *ingest, const struct ingest_UpdateNotificationConfiguration_in *in,
    struct ingest_UpdateNotificationConfiguration_out *out, struct kn_api_call *call)
{
    (void) out;
    int r = check_stream(ingest, call, in->StreamName, in->StreamARN);
    return r == 0 && in->NotificationConfiguration ? kn_api_refuse(call) : r;
}

int ingest_op_DescribeMappedResourceConfiguration(
    struct ingest *ingest, const struct ingest_DescribeMappedResourceConfiguration_in *in,
    struct ingest_DescribeMappedResourceConfiguration_out *out, struct kn_api_call *call)
{
    if (in->NextToken.len > 0) /* none was ever given out */
        return kn_api_fault(call, "InvalidArgumentException", "NextToken is not valid.");
    out->MappedResourceConfigurationList.set = true;
    return check_stream(ingest, call, in->StreamName, in->StreamARN);
}

int ingest_op_ListSignalingChannels(struct ingest *ingest,
                                    const struct ingest_ListSignalingChannels_in *in,
                                    struct ingest_ListSignalingChannels_out *out,
                                    struct kn_api_call *call)
{
    (void) ingest;
    if (in->NextToken.len > 0) /* none was ever given out */
        return kn_api_fault(call, "InvalidArgumentException", "NextToken is not valid.");
    out->ChannelInfoList.set = true;
    return 0;
}
