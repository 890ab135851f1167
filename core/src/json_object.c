/* SPDX-License-Identifier: Apache-2.0 */
/* Objects whose members are a table: what small messages and requests are read with. Portable C11.
 */
#include <errno.h>

#include "core/err.h"
#include "core/json.h"

static int read_string(const struct kn_json_reader *r, struct kn_arena *arena,
                       const struct kn_json_member *member)
{
    struct kn_str value;
    int error = kn_json_unescape(r, arena, &value);
    if (error < 0)
        return error;
    if (member->str)
        *member->str = value;
    else
        (void) !kn_str_copy(member->text, member->text_cap, value);
    return 0;
}

static int read_number(const struct kn_json_reader *r, const struct kn_json_member *member)
{
    int64_t value;
    if (kn_json_number_i64(r, &value) < 0 || (member->u64 && value < 0))
        return -EBADMSG;
    if (member->u64)
        *member->u64 = (uint64_t) value;
    else
        *member->i64 = value;
    return 0;
}

static int read_value(struct kn_json_reader *r, enum kn_json_token token, struct kn_arena *arena,
                      const struct kn_json_member *member)
{
    if (token == KN_JSON_NULL)
        return 0;
    if (member->nested)
        return member->nested->read(r, token, arena, member->nested->ctx);
    if (member->str || member->text)
        return token == KN_JSON_STRING ? read_string(r, arena, member) : -EBADMSG;
    if (member->i64 || member->u64)
        return token == KN_JSON_NUMBER ? read_number(r, member) : -EBADMSG;
    if (token != KN_JSON_TRUE && token != KN_JSON_FALSE)
        return -EBADMSG;
    *member->flag = token == KN_JSON_TRUE;
    return 0;
}

int kn_json_members_read(struct kn_json_reader *r, struct kn_arena *arena,
                         const struct kn_json_member *members, size_t count)
{
    enum kn_json_token token;
    int error;
    while ((error = kn_json_next(r, &token)) == 0 && token == KN_JSON_KEY) {
        const struct kn_json_member *member = NULL;
        struct kn_str key;
        error = kn_json_unescape(r, arena, &key);
        if (error < 0)
            return error;
        for (size_t i = 0; i < count && !member; i++)
            if (kn_str_eq(key, kn_str_from(members[i].name)))
                member = &members[i];
        error = kn_json_next(r, &token);
        if (error == 0)
            error = member ? read_value(r, token, arena, member) : kn_json_skip(r, token);
        if (error < 0)
            return error;
    }
    return error;
}

int kn_json_object_read(struct kn_bytes json, struct kn_arena *arena,
                        const struct kn_json_member *members, size_t count)
{
    struct kn_json_reader r;
    enum kn_json_token token;
    kn_json_reader_init(&r, json);
    if (kn_json_next(&r, &token) < 0 || token != KN_JSON_OBJECT)
        return -EBADMSG;
    int error = kn_json_members_read(&r, arena, members, count);
    if (error < 0)
        return error;
    return kn_json_next(&r, &token) == 0 && token == KN_JSON_DONE ? 0 : -EBADMSG;
}
