/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_module.h"

#include <errno.h>

/* --- the module under the engine ------------------------------------------------------------- */
static int read_view(struct kn_api_call *call, const struct kn_api_blob *blob, struct kn_bytes *ret)
{
    if (!blob->wire.ptr)
        return 0;
    uint8_t *dst = kn_arena_alloc(call->arena, blob->len);
    if (!dst)
        return -ENOMEM;
    *ret = (struct kn_bytes){dst, blob->len};
    return kn_api_blob_read(call, blob, dst);
}

static int copy_records(struct kn_api_call *call, const struct wire_Record_list *in,
                        struct wire_RecordOut_list *out)
{
    if (!in->set)
        return 0;
    struct wire_RecordOut *items =
        kn_arena_alloc(call->arena, (in->count + 1) * sizeof(struct wire_RecordOut));
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < in->count; i++) {
        int error = read_view(call, &in->items[i].Data, &items[i].Data);
        if (error)
            return error;
        items[i].Key = in->items[i].Key;
    }
    *out = (struct wire_RecordOut_list){true, in->count, items};
    return 0;
}

int wire_op_Echo(struct wire *module, const struct wire_Echo_in *in, struct wire_Echo_out *out,
                 struct kn_api_call *call)
{
    (void) module;
    *out = (struct wire_Echo_out){
        .StreamName = in->StreamName,
        .Text = in->Text,
        .Blob = in->Blob,
        .Small = in->Small,
        .Long = in->Long,
        .When = in->When,
        .Ratio = in->Ratio,
        .Flag = in->Flag,
        .Colour = in->Colour,
        .Point = in->Point,
        .Numbers = in->Numbers,
        .Names = in->Names,
        .Tags = in->Tags,
    };
    int error = read_view(call, &in->View, &out->View);
    return error ? error : copy_records(call, &in->Records, &out->Records);
}

static void released(void *arg)
{
    struct wire *module = arg;
    module->released++;
}

static int defer(struct wire *module, struct wire_Later_out *out, struct kn_api_call *call)
{
    if (!call->on_worker) {
        out->Text = KN_STR("of the first round");
        return kn_api_defer(call, KN_HTTP_READS);
    }
    kn_assert(!out->Text.ptr);
    kn_api_keep(call, released, module);
    out->Text = KN_STR("kept");
    return 0;
}

static int noted(struct kn_api_call *call, void *ctx)
{
    struct wire_Later_out *out = ctx;
    out->Text = kn_arena_str(call->arena, KN_STR("noted"));
    return 0;
}

int wire_op_Later(struct wire *module, const struct wire_Later_in *in, struct wire_Later_out *out,
                  struct kn_api_call *call)
{
    if (in->How == WIRE_Later_How_DEFER)
        return defer(module, out, call);
    if (in->How == WIRE_Later_How_NOTED)
        kn_api_on_resume(call, noted, out);
    int promise = kn_api_suspend(call);
    if (module->take_later && in->How == WIRE_Later_How_LATER) {
        module->take_later(call, out);
        return promise;
    }
    if (!module->take_later) {
        module->later = call;
        module->later_out = out;
    }
    if (in->How == WIRE_Later_How_AT_ONCE) {
        out->Text = KN_STR("at once");
        kn_api_resume(call, 0);
    } else if (in->How == WIRE_Later_How_FAULT) {
        kn_api_resume(call, kn_api_fault(call, "ResourceInUseException", "busy"));
    }
    return promise;
}

int wire_op_LaterOnWorker(struct wire *module, const struct wire_LaterOnWorker_in *in,
                          struct wire_LaterOnWorker_out *out, struct kn_api_call *call)
{
    (void) module;
    (void) in;
    int promise = kn_api_suspend(call);
    out->Text = KN_STR("from a worker");
    kn_api_resume(call, 0);
    return promise;
}

int wire_op_Fail(struct wire *module, const struct wire_Fail_in *in, struct wire_Fail_out *out,
                 struct kn_api_call *call)
{
    (void) module;
    (void) out;
    (void) call;
    return (int) -in->Errno.v;
}

int wire_op_Read(struct wire *module, const struct wire_Read_in *in, struct wire_Read_out *out,
                 struct kn_api_call *call)
{
    (void) module;
    (void) out;
    return kn_api_permit(call, in->Token);
}
