/* SPDX-License-Identifier: Apache-2.0 */
#include "http_query.h"
#include "test.h"

#include <errno.h>

static struct kn_arena arena;

static int find(const char *query, const char *name, struct kn_str *ret)
{
    return kn_http_query_find(kn_str_from(query), kn_str_from(name), &arena, ret);
}

TEST(values_are_found_and_decoded)
{
    static const struct {
        const char *query, *name, *value;
    } rows[] = {
        {"a=b",         "a", "b"  },
        {"x=1&a=b&a=c", "a", "b"  },
        {"a",           "a", ""   },
        {"a=",          "a", ""   },
        {"a=b=c",       "a", "b=c"},
        {"a=%41%2f%2F", "a", "A//"},
        {"%61=x",       "a", "x"  },
        {"a=1+2",       "a", "1+2"},
        {"&&a=b&",      "a", "b"  },
        {"aa=1&a=2",    "a", "2"  },
        {"a=%26",       "a", "&"  },
    };
    kn_arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        struct kn_str value;
        assert_ok(find(rows[i].query, rows[i].name, &value));
        assert_str_is(value, rows[i].value);
    }
    kn_arena_done(&arena);
}

TEST(absent_and_malformed_differ)
{
    struct kn_str value;
    kn_arena_init(&arena, 1 << 16);
    assert_int_equal(find("", "a", &value), -ENOENT);
    assert_int_equal(find("b=a", "a", &value), -ENOENT);
    assert_int_equal(find("a=%", "a", &value), -EINVAL);
    assert_int_equal(find("a=%4", "a", &value), -EINVAL);
    assert_int_equal(find("a=%zz", "a", &value), -EINVAL);
    assert_int_equal(find("a=%00", "a", &value), -EINVAL);
    kn_arena_done(&arena);
}

TESTS_MAIN(TEST_OF(values_are_found_and_decoded), TEST_OF(absent_and_malformed_differ))
