/* SPDX-License-Identifier: Apache-2.0 */
/* ARNs: what is written is read back, what is malformed is refused, what is not ours is known. */
#include "test.h"

#include "core/arn.h"
#include "core/err.h"

static const struct kn_api_identity identity = {"aws", "eu-central-1", "123456789012"};

static struct kn_str S(const char *s) {
    return kn_str_from(s);
}

TEST(a_formatted_arn_has_awss_form_and_is_read_back)
{
    struct kn_arena arena;
    kn_arena_init(&arena, KIB(4));

    struct kn_str text = kn_arn_format(&arena, &identity, "stream", S("cam.1_a-b"), 1700000000123);
    assert_str_is(text, "arn:aws:kinesisvideo:eu-central-1:123456789012:stream/cam.1_a-b/"
                        "1700000000123");

    struct kn_api_arn arn;
    assert_ok(kn_api_arn_parse(text, &arn));
    assert_str_is(arn.partition, "aws");
    assert_str_is(arn.service, "kinesisvideo");
    assert_str_is(arn.region, "eu-central-1");
    assert_str_is(arn.account, "123456789012");
    assert_str_is(arn.type, "stream");
    assert_str_is(arn.name, "cam.1_a-b");
    assert_int_equal(arn.created_ms, 1700000000123);
    assert_true(kn_arn_is_ours(&arn, &identity, "stream"));
    kn_arena_done(&arena);
}

TEST(an_arn_of_another_type_region_account_or_partition_is_not_ours)
{
    const char *strangers[] = {
        "arn:aws:kinesisvideo:eu-central-1:123456789012:channel/cam/1700000000123",
        "arn:aws:kinesisvideo:eu-central-2:123456789012:stream/cam/1700000000123",
        "arn:aws:kinesisvideo:eu-central-1:123456789013:stream/cam/1700000000123",
        "arn:aws-cn:kinesisvideo:eu-central-1:123456789012:stream/cam/1700000000123",
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(strangers); i++) {
        struct kn_api_arn arn;
        assert_ok(kn_api_arn_parse(S(strangers[i]), &arn));
        assert_false(kn_arn_is_ours(&arn, &identity, "stream"));
    }
}

TEST(malformed_arns_are_refused)
{
    const char *bad[] = {
        "",
        "camera",
        "arn:aws:kinesisvideo:eu-central-1:123456789012:stream",
        "arn:aws:kinesisvideo:eu-central-1:123456789012:stream/cam",
        "arn:aws:kinesisvideo:eu-central-1:123456789012:stream/cam/",
        "arn:aws:kinesisvideo:eu-central-1:123456789012:stream/cam/17x",
        "arn:aws:kinesisvideo:eu-central-1:123456789012:stream/cam/-5",
        "arn:aws:kinesisvideo:eu-central-1:123456789012:stream/cam/99999999999999999999",
        "arn:aws:kinesisvideo:eu-central-1:123456789012:stream//1700000000123",
        "urn:aws:kinesisvideo:eu-central-1:123456789012:stream/cam/1700000000123",
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(bad); i++) {
        struct kn_api_arn arn;
        assert_int_equal(kn_api_arn_parse(S(bad[i]), &arn), -EINVAL);
    }
}

TEST(a_spent_arena_gives_no_arn)
{
    struct kn_arena arena;
    kn_arena_init(&arena, 16);
    assert_null(kn_arn_format(&arena, &identity, "stream", S("cam"), 1).ptr);
    kn_arena_done(&arena);
}

TESTS_MAIN(TEST_OF(a_formatted_arn_has_awss_form_and_is_read_back),
           TEST_OF(an_arn_of_another_type_region_account_or_partition_is_not_ours),
           TEST_OF(malformed_arns_are_refused), TEST_OF(a_spent_arena_gives_no_arn))
