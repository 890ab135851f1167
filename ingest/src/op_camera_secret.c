/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets: cameras' URLs under a name of their own, so that an edge configuration, which AWS's
 * clients let name a secret only, can say where video comes from. docs/cameras.md.
 */
#include "camera_shape.h"
#include "page_token.h"

enum {
    LIST_RESULTS_DEFAULT = 100
};

int ingest_op_PutCameraSecret(struct ingest *ingest, const struct ingest_PutCameraSecret_in *in,
                              struct ingest_PutCameraSecret_out *out, struct kn_api_call *call)
{
    const struct ingest_source_said said = {in->Url, in->UserName, in->Password, in->Transport,
                                            in->Tls};
    struct ingest_camera_source source;
    if (kn_str_starts_with(in->SecretName, KN_STR(INGEST_CAMERA_OWN_SECRET)))
        return kn_api_fault(call, "InvalidArgumentException",
                            "Names that begin with " INGEST_CAMERA_OWN_SECRET
                            " stand for cameras' own URLs.");
    int r = ingest_source_of(ingest, call, &said, &source);
    if (r == 0)
        r = ingest_cameras_secret_put(ingest->cameras, in->SecretName, &source);
    explicit_bzero(&source, sizeof source);
    if (r == -EDQUOT)
        return kn_api_fault(call, "ClientLimitExceededException",
                            "The number of secrets has reached its limit of %" PRIu64 ".",
                            ingest->conf.cameras_max);
    out->SecretArn = ingest_secret_arn(call, in->SecretName);
    return r == 0 && !out->SecretArn.ptr ? -ENOMEM : r;
}

int ingest_op_DeleteCameraSecret(struct ingest *ingest,
                                 const struct ingest_DeleteCameraSecret_in *in,
                                 struct ingest_DeleteCameraSecret_out *out,
                                 struct kn_api_call *call)
{
    (void) out;
    int r = ingest_cameras_secret_remove(ingest->cameras, in->SecretName);
    if (r == -ENOENT)
        return kn_api_fault(call, "ResourceNotFoundException", "There is no secret of that name.");
    if (r == -EBUSY)
        return kn_api_fault(call, "ResourceInUseException", "A camera has this secret.");
    return r;
}

struct list {
    struct kn_api_call *call;
    struct ingest_ListCameraSecrets_Secrets_item *items;
    size_t count, most;
    bool more;
};

/* One that cannot be read is listed by its name, so that it can be set again or removed. */
static int list_one(void *ctx, struct kn_str name, const struct ingest_camera_secret *secret,
                    int result)
{
    struct list *list = ctx;
    (void) result;
    if (list->count == list->most) {
        list->more = true;
        return 0;
    }
    struct ingest_ListCameraSecrets_Secrets_item *item = &list->items[list->count++];
    *item = (struct ingest_ListCameraSecrets_Secrets_item){0};
    item->SecretArn = ingest_secret_arn(list->call, name);
    if (ingest_text_shown(list->call, name, &item->SecretName) < 0 || !item->SecretArn.ptr)
        return -ENOMEM;
    if (!secret)
        return 0;
    item->Transport = ingest_transport_shown(secret->source.transport);
    item->Tls = ingest_tls_shown(secret->source.tls);
    item->CreationTime = ingest_time_shown(secret->created_ms);
    item->LastUpdatedTime = ingest_time_shown(secret->updated_ms);
    if (ingest_text_shown(list->call, ingest_camera_url_shown(&secret->source), &item->Url) < 0)
        return -ENOMEM;
    return ingest_text_shown(list->call, kn_str_from(secret->source.user), &item->UserName);
}

int ingest_op_ListCameraSecrets(struct ingest *ingest, const struct ingest_ListCameraSecrets_in *in,
                                struct ingest_ListCameraSecrets_out *out, struct kn_api_call *call)
{
    struct kn_str after = {NULL, 0};
    if (in->NextToken.len > 0) {
        int r = ingest_page_token_read(call->arena, 'c', in->NextToken, &after);
        if (r < 0)
            return r == -EINVAL
                       ? kn_api_fault(call, "InvalidArgumentException", "NextToken is not valid.")
                       : r;
    }
    struct list list = {.call = call,
                        .most =
                            in->MaxResults.set ? (size_t) in->MaxResults.v : LIST_RESULTS_DEFAULT};
    list.items = kn_arena_alloc(call->arena, list.most * sizeof *list.items);
    if (!list.items)
        return -ENOMEM;
    int r = ingest_cameras_secret_list(ingest->cameras, after, list.most + 1, list_one, &list);
    if (r < 0)
        return r;
    out->Secrets =
        (struct ingest_ListCameraSecrets_Secrets_item_list){true, list.count, list.items};
    if (!list.more)
        return 0;
    char *token = kn_arena_alloc(call->arena, INGEST_PAGE_TOKEN_BYTES_MAX);
    if (token)
        out->NextToken = ingest_page_token(token, 'c', list.items[list.count - 1].SecretName);
    return out->NextToken.ptr ? 0 : -ENOMEM;
}
