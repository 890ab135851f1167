/* SPDX-License-Identifier: Apache-2.0 */
/* NextToken of lists: what was written is read, anything else is refused. */
#include "page_token.h"
#include "test.h"

static struct kn_str S(const char *s) {
    return kn_str_from(s);
}

TEST(a_token_says_after_which_name_to_go_on)
{
    struct kn_arena arena;
    kn_arena_init(&arena, KIB(64));
    char longest[257] = {0}, dst[INGEST_PAGE_TOKEN_BYTES_MAX];
    memset(longest, 'x', 256);
    const char *names[] = {"a", "cam-1", longest};
    for (size_t i = 0; i < KN_ARRAY_LEN(names); i++) {
        struct kn_str token = ingest_page_token(dst, 'S', S(names[i])), after;
        assert_non_null(token.ptr);
        assert_in_range(token.len, 1, INGEST_PAGE_TOKEN_BYTES_MAX);
        assert_ok(ingest_page_token_read(&arena, 'S', token, &after));
        assert_str_is(after, names[i]);
    }
    kn_arena_done(&arena);
}

TEST(a_token_of_another_list_or_with_any_byte_changed_is_refused)
{
    struct kn_arena arena;
    kn_arena_init(&arena, KIB(64));
    char dst[INGEST_PAGE_TOKEN_BYTES_MAX];
    struct kn_str token = ingest_page_token(dst, 'S', S("camera")), after = {NULL, 0};

    assert_int_equal(ingest_page_token_read(&arena, 'T', token, &after), -EINVAL);
    for (size_t i = 0; i < token.len; i++) {
        char changed[INGEST_PAGE_TOKEN_BYTES_MAX];
        memcpy(changed, token.ptr, token.len);
        changed[i] = changed[i] == 'A' ? 'Q' : 'A';
        struct kn_str bad = {changed, token.len};
        assert_int_equal(ingest_page_token_read(&arena, 'S', bad, &after), -EINVAL);
        struct kn_str cut = {token.ptr, i};
        assert_int_equal(ingest_page_token_read(&arena, 'S', cut, &after), -EINVAL);
    }
    assert_null(after.ptr);
    kn_arena_done(&arena);
}

TESTS_MAIN(TEST_OF(a_token_says_after_which_name_to_go_on),
           TEST_OF(a_token_of_another_list_or_with_any_byte_changed_is_refused))
