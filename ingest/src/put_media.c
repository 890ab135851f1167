/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PutMedia's head: what is judged before the body, and answered as an ordinary HTTP error. The
 * upload itself is upload.c. Sources: KVS API reference, PutMedia; header forms as AWS's producers
 * send them.
 */
#include "put_media.h"

#include "resource.h"
#include "upload.h"

/* "AWS-PRODUCER-SDK-KVS/1.6.4 …", "AWS-SDK-KVS-CPP-CLIENT/3.6.0 …" (observed) */
static bool is_c_producer(struct kn_str user_agent)
{
    return kn_str_glob(KN_STR("*AWS-PRODUCER-SDK-KVS*"), user_agent) ||
           kn_str_glob(KN_STR("*AWS-SDK-KVS-CPP-CLIENT*"), user_agent);
}

int ingest_start_timestamp_parse(struct kn_str text, struct kn_str user_agent, int64_t *ret_ms)
{
    enum {
        SECONDS_MAX = 253402300,
        MS = 1000,
        MS_DIGITS = 3
    };
    const uint64_t seconds_max = (uint64_t) SECONDS_MAX * MS; /* the year 9999 */
    struct kn_str head;
    struct kn_str tail = kn_str_cut(text, '.', &head);
    uint64_t seconds = 0, ms = 0, any = 0;
    if (kn_str_to_u64(head, seconds_max, &seconds) < 0)
        return -EINVAL;
    if (!tail.ptr) {
        *ret_ms = (int64_t) (seconds * MS);
        return 0;
    }
    struct kn_str kept = {tail.ptr, kn_min_u64(tail.len, MS_DIGITS)};
    struct kn_str rest = {tail.ptr + kept.len, tail.len - kept.len};
    if (kn_str_to_u64(kept, UINT64_MAX, &ms) < 0)
        return -EINVAL;
    for (size_t i = 0; i < rest.len; i++)
        any |= rest.ptr[i] < '0' || rest.ptr[i] > '9';
    if (any)
        return -EINVAL;
    if (kept.len < MS_DIGITS && !is_c_producer(user_agent))
        for (size_t i = kept.len; i < MS_DIGITS; i++)
            ms *= 10; /* a decimal fraction; the C producers print ms without padding */
    *ret_ms = (int64_t) (seconds * MS + ms);
    return 0;
}

/* Beyond AWS, whose fragments have frames of every picture and sound that is declared. */
static int read_extension(struct kn_api_call *call, bool *ret_may_pause)
{
    struct kn_str text = kn_str_trim(kn_http_header(call->req, "x-kinema-tracks"));
    *ret_may_pause = kn_str_eq(text, KN_STR("may-pause"));
    if (text.len && !*ret_may_pause)
        return kn_api_fault(call, "InvalidArgumentException",
                            "The header x-kinema-tracks must be may-pause.");
    return 0;
}

int ingest_op_PutMedia(struct ingest *ingest, const struct ingest_PutMedia_in *in,
                       struct ingest_PutMedia_out *out, struct kn_api_call *call)
{
    (void) out; /* the answer is a stream of acknowledgements */
    struct ingest_upload_open open = {
        .relative = in->FragmentTimecodeType == INGEST_PutMedia_FragmentTimecodeType_RELATIVE,
        .errors_only =
            in->FragmentAcknowledgmentRequired == INGEST_PutMedia_FragmentAcknowledgmentRequired_0,
    };
    if (in->StreamName.ptr && in->StreamARN.ptr)
        return kn_api_fault(call, "InvalidArgumentException",
                            "Either StreamName or StreamARN must be given, not both.");
    if (in->ProducerStartTimestamp.ptr &&
        ingest_start_timestamp_parse(in->ProducerStartTimestamp,
                                     kn_http_header(call->req, "user-agent"), &open.start_ms) < 0)
        return kn_api_fault(call, "InvalidArgumentException",
                            "x-amzn-producer-start-timestamp is not a number of seconds.");
    if (open.relative && !in->ProducerStartTimestamp.ptr)
        return kn_api_fault(call, "InvalidArgumentException",
                            "RELATIVE timecodes need x-amzn-producer-start-timestamp.");

    int r = read_extension(call, &open.tracks_may_pause);
    if (r < 0)
        return r;
    r = ingest_stream_find_active(ingest, call, in->StreamName, in->StreamARN, &open.stream);
    if (r < 0)
        return r;
    struct ingest_upload *upload = NULL;
    r = ingest_upload_new(ingest, call, &open, &upload);
    if (r < 0)
        return r;
    kn_api_take(call, &ingest_upload_ops, upload);
    return 0;
}
