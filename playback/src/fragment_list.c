/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GetMediaForFragmentList: the named fragments, in the order given, one Matroska document each,
 * without GetMedia's closing Tags (kvs-api.md §3.6). A number that is not there gets a document
 * that says so (FRAGMENT_NOT_FOUND, 3000), and the list goes on. Fragments still arriving are not
 * there.
 */
#include "document.h"
#include "feed.h"
#include "playback_api.h"
#include "playback_internal.h"

#include <stdlib.h>

enum {
    ERROR_MISSING = 3000,
    ERROR_INTERNAL = 5000
}; /* kvs-api.md §3.6, §3.4 */

struct fragment_list {
    struct playback *playback;
    struct kn_api_call *call;
    struct storage_stream *stream;
    struct playback_feed feed;
    struct playback_document doc;
    const struct kn_str *numbers; /* in the call's arena */
    size_t count, at;
    bool open; /* a document is going out */
    bool cut;  /* its fragment could not be read to the end: an error document follows */
    struct kn_buf error_text;
};

static int say_missing(struct fragment_list *list, int id, const char *code)
{
    kn_buf_clear(&list->error_text);
    playback_tags_write_missing(
        &list->error_text, &(struct playback_media_error){
                               .fragment_number = list->numbers[list->at], .id = id, .code = code});
    playback_document_text(&list->doc, kn_buf_bytes(&list->error_text));
    list->open = true;
    return list->error_text.error;
}

static int open_next(struct fragment_list *list, bool nowait)
{
    struct storage_number number = {0};
    struct storage_fragment fragment;
    bool exact = false;
    int r = storage_number_parse(list->numbers[list->at], &number, &exact);

    if (!r && exact)
        r = storage_find_number(list->playback->storage, &list->stream->id, &number, &fragment,
                                nowait);
    else
        r = -ENOENT;
    if (!r && (fragment.flags & STORAGE_FRAGMENT_IN_FLIGHT))
        r = -ENOENT;
    if (!r)
        r = playback_document_open(&list->doc, &fragment, nowait);
    if (r == -EAGAIN || r == -ENOMEM)
        return r;
    if (r == -ENOENT)
        return say_missing(list, ERROR_MISSING, "FRAGMENT_NOT_FOUND");
    if (r < 0)
        return say_missing(list, ERROR_INTERNAL, "INTERNAL_ERROR");
    list->open = true;
    return PLAYBACK_FEED_MORE;
}

static int end_document(struct fragment_list *list)
{
    if (list->doc.state == PLAYBACK_DOCUMENT_MEDIA)
        return playback_document_finish(&list->doc, false, 0);
    if (list->cut) {
        list->cut = false;
        return say_missing(list, ERROR_INTERNAL, "INTERNAL_ERROR");
    }
    list->open = false;
    list->at++;
    return PLAYBACK_FEED_MORE;
}

static int step(void *ctx, uint8_t *dst, size_t cap, bool nowait, size_t *ret_len)
{
    struct fragment_list *list = ctx;
    ssize_t n;

    if (!list->open)
        return list->at < list->count ? open_next(list, nowait) : PLAYBACK_FEED_END;
    n = playback_document_read(&list->doc, dst, cap, nowait);
    if (n > 0) {
        *ret_len = (size_t) n;
        return PLAYBACK_FEED_MORE;
    }
    if (!n)
        return end_document(list);
    if (n == -EAGAIN)
        return (int) n;
    playback_document_cut(&list->doc);
    list->cut = true;
    return PLAYBACK_FEED_MORE;
}

static int on_head(struct kn_http_req *req, void **ctx)
{
    struct fragment_list *list = *ctx;
    struct kn_http_header headers[KN_API_STREAM_HEADERS];
    size_t count = kn_api_stream_headers(list->call, "video/webm", headers);

    kn_http_reply_stream(req, 200, headers, count, KN_HTTP_LENGTH_UNKNOWN);
    return 0;
}

static ssize_t on_pull(struct kn_http_req *req, void *ctx, void *dst, size_t cap)
{
    struct fragment_list *list = ctx;
    bool idle = false; /* never: the source does not wait */

    return playback_feed_pull(&list->feed, req, dst, cap, &idle);
}

static void on_wake(struct kn_http_req *req KN_UNUSED, void *ctx, uint32_t bits)
{
    struct fragment_list *list = ctx;

    playback_feed_woken(&list->feed, bits);
}

static void fragment_list_free(struct fragment_list *list)
{
    playback_feed_done(&list->feed);
    playback_document_done(&list->doc);
    kn_buf_done(&list->error_text);
    storage_stream_unref(list->stream);
    free(list);
}

static void on_gone(struct kn_http_req *req KN_UNUSED, void *ctx, enum kn_http_why why KN_UNUSED)
{
    fragment_list_free(ctx);
}

static const struct kn_http_ops fragment_list_ops = {
    .head = on_head,
    .pull = on_pull,
    .wake = on_wake,
    .gone = on_gone,
};

KN_DEFINE_CLEANUP(struct fragment_list *, fragment_list_free)

int playback_op_GetMediaForFragmentList(struct playback *playback,
                                        const struct playback_GetMediaForFragmentList_in *in,
                                        struct playback_GetMediaForFragmentList_out *out KN_UNUSED,
                                        struct kn_api_call *call)
{
    KN_CLEANUP(fragment_list_freep) struct fragment_list *list = calloc(1, sizeof *list);
    int r;

    if (!list)
        return -ENOMEM;
    list->playback = playback;
    list->call = call;
    list->numbers = in->Fragments.items;
    list->count = in->Fragments.count;
    kn_buf_init(&list->error_text, PLAYBACK_TAGS_BYTES_MAX);
    r = playback_stream_find(playback, call, in->StreamName, in->StreamARN, &list->stream);
    if (r < 0)
        return r;
    if (!list->stream->retention_hours) /* no NoDataRetentionException is modelled for this call */
        return kn_api_fault(call, "InvalidArgumentException",
                            "The stream does not retain data (DataRetentionInHours is 0).");
    playback_document_init(&list->doc, playback->storage, &list->stream->id);
    list->feed = (struct playback_feed){.step = step, .ctx = list};
    playback_feed_count(&list->feed, "GetMediaForFragmentList");
    kn_api_take(call, &fragment_list_ops, KN_MOVE(list));
    return 0;
}
