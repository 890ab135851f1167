/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API's operations that the page calls: a login calls them as its access key would, with the
 * same members, checks, rights and faults; only the signature is not there. Those below are all.
 */
#include "console_call.h"

#include "core/api.h"
#include "core/log.h"

static const char *const of_video[] = {
    "kinesisvideo:CreateStream",        "kinesisvideo:DeleteStream",
    "kinesisvideo:UpdateDataRetention", "kinema:UpdateRetentionLimit",
    "kinesisvideo:TagStream",           "kinesisvideo:UntagStream",
    "kinesisvideo:ListTagsForStream",
};
static const char *const of_data[] = {
    "kinesis:CreateStream",
    "kinesis:DeleteStream",
    "kinesis:UpdateShardCount",
    "kinesis:UpdateStreamMode",
    "kinesis:IncreaseStreamRetentionPeriod",
    "kinesis:DecreaseStreamRetentionPeriod",
    "kinesis:AddTagsToStream",
    "kinesis:RemoveTagsFromStream",
    "kinesis:ListTagsForStream",
};

static const char *find_in(const char *const *list, size_t count, struct kn_str action)
{
    for (size_t i = 0; i < count; i++)
        if (kn_str_eq(kn_str_from(list[i]), action))
            return list[i];
    return NULL;
}

static void write_may(struct console_call *call, const char *const *list, size_t count,
                      struct kn_str stream)
{
    kn_json_key(&call->json, "may");
    kn_json_array_begin(&call->json);
    for (size_t i = 0; i < count; i++)
        if (console_allows(call, list[i], stream))
            kn_json_text(&call->json, list[i]);
    kn_json_array_end(&call->json);
}

void console_write_may_video(struct console_call *call, struct kn_str stream)
{
    write_may(call, of_video, KN_ARRAY_LEN(of_video), stream);
}

void console_write_may_data(struct console_call *call, struct kn_str stream)
{
    write_may(call, of_data, KN_ARRAY_LEN(of_data), stream);
}

/* The body and the answer are the operation's; the answer of one that has none is {}. */
void console_run_operation(struct console_call *call)
{
    const char *action = find_in(of_video, KN_ARRAY_LEN(of_video), call->name);
    if (!action)
        action = find_in(of_data, KN_ARRAY_LEN(of_data), call->name);
    if (!action) {
        console_fail(call, 404, "no_such_operation", "the page has no such operation");
        return;
    }
    struct kn_api_refusal refusal = {0};
    const struct kn_api_errand errand = {call->req, call->arena, action, call->key, call->body};
    int r = kn_api_run(call->console->conf.api, &errand, &call->out, &refusal);
    if (r == -EACCES) {
        console_fail(call, refusal.status, refusal.fault, KN_STR_FMT, KN_STR_ARG(refusal.message));
    } else if (r < 0) {
        console_fail(call, 500, "internal", "that did not work: %s", kn_errname(r));
    } else {
        kn_log_info("console_operation", "action=%s by=" KN_LOG_QUOTED, action,
                    kn_log_quote(call->key ? call->key->id : KN_STR("")));
        if (call->out.len == 0)
            (void) kn_buf_append_text(&call->out, "{}");
    }
}
