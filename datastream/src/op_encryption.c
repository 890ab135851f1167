/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encryption settings. What AWS does with a key, the disk's own encryption does here: the setting
 * is kept, told with records and answers, and encrypts nothing.
 */
#include "state.h"

#include <errno.h>

struct edit {
    struct datastream *ds;
    struct kn_api_call *call;
    struct datastream_stream *stream;
    struct kn_str key; /* ptr NULL: not encrypted */
};

static int change(void *ctx, struct datastream_settings *draft)
{
    struct edit *edit = ctx;
    enum datastream_day_call day = edit->key.ptr ? DATASTREAM_DAY_ENCRYPT : DATASTREAM_DAY_DECRYPT;
    if (!datastream_rate_day(edit->ds, edit->stream, day))
        return datastream_day_exceeded(edit->call, edit->stream, day);
    draft->kms_key = edit->key;
    return 0;
}

static int run(struct datastream *ds, struct kn_api_call *call, struct kn_str name,
               struct kn_str arn, struct kn_str key)
{
    KN_CLEANUP(datastream_stream_unrefp) struct datastream_stream *stream = NULL;
    int r = datastream_find(ds, call, name, arn, &stream);
    struct edit edit = {ds, call, stream, key};
    return r < 0 ? r : datastream_update(ds, call, stream, change, &edit);
}

static int check_type(struct kn_api_call *call, enum datastream_EncryptionType type)
{
    if (type == DATASTREAM_EncryptionType_KMS)
        return 0;
    return kn_api_fault(call, "InvalidArgumentException", "EncryptionType must be KMS.");
}

int datastream_op_StartStreamEncryption(struct datastream *ds,
                                        const struct datastream_StartStreamEncryption_in *in,
                                        struct datastream_StartStreamEncryption_out *out KN_UNUSED,
                                        struct kn_api_call *call)
{
    int r = check_type(call, in->EncryptionType);
    return r < 0 ? r : run(ds, call, in->StreamName, in->StreamARN, in->KeyId);
}

/* Terraform calls it on streams that are not encrypted, and means no harm. */
int datastream_op_StopStreamEncryption(struct datastream *ds,
                                       const struct datastream_StopStreamEncryption_in *in,
                                       struct datastream_StopStreamEncryption_out *out KN_UNUSED,
                                       struct kn_api_call *call)
{
    int r = check_type(call, in->EncryptionType);
    return r < 0 ? r : run(ds, call, in->StreamName, in->StreamARN, (struct kn_str){NULL, 0});
}
