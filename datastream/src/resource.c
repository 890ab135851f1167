/* SPDX-License-Identifier: Apache-2.0 */
#include "resource.h"

#include "state.h"

#include <errno.h>

int datastream_resource_find(struct datastream *ds, struct kn_api_call *call, struct kn_str arn,
                             struct datastream_resource *ret)
{
    struct kn_api_arn parsed;
    *ret = (struct datastream_resource){0};
    if (kn_api_arn_parse(arn, &parsed) == 0 && parsed.consumer.ptr)
        return datastream_consumer_of(ds, call, arn, &ret->stream, &ret->consumer);
    return datastream_find(ds, call, (struct kn_str){NULL, 0}, arn, &ret->stream);
}

void datastream_resource_done(struct datastream_resource *resource)
{
    datastream_stream_unref(resource->stream);
    datastream_consumer_unref(resource->consumer);
    *resource = (struct datastream_resource){0};
}

struct datastream_settings *datastream_resource_settings(const struct datastream_resource *resource)
{
    return resource->consumer ? datastream_consumer_settings(resource->consumer)
                              : datastream_stream_settings(resource->stream);
}

int datastream_resource_change(struct datastream *ds, struct kn_api_call *call,
                               const struct datastream_resource *resource, datastream_edit_fn *edit,
                               void *ctx)
{
    if (!resource->consumer)
        return datastream_update_beside(ds, call, resource->stream, edit, ctx);
    int r = datastream_consumer_change(ds->consumers, resource->consumer, edit, ctx);
    return r == -ENOENT ? datastream_no_consumer(call, resource->stream, resource->consumer->name)
                        : datastream_changed(call, r);
}
