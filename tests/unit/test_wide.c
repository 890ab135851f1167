/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <errno.h>

#include "core/wide.h"

static void check_both_ways(const char *text, size_t limbs)
{
    uint32_t limb[KN_WIDE_LIMBS_MAX];
    char dst[KN_WIDE_DIGITS_MAX + 1];
    assert_ok(kn_wide_parse(kn_str_from(text), limb, limbs));
    size_t len = kn_wide_format(limb, limbs, dst, sizeof(dst));
    assert_str_is(((struct kn_str){dst, len}), text);
}

TEST(text_and_value_go_both_ways)
{
    check_both_ways("0", 1);
    check_both_ways("4294967295", 1);
    check_both_ways("1000000000", 1);
    check_both_ways("18446744073709551616", 3);
    check_both_ways("340282366920938463463374607431768211455", 4);
    check_both_ways(
        "115792089237316195423570985008687907853269984665640564039457584007913129639935", 8);
}

TEST(what_does_not_fit_or_is_no_number_is_refused)
{
    uint32_t limb[4];
    assert_int_equal(kn_wide_parse(KN_STR("4294967296"), limb, 1), -EMSGSIZE);
    assert_int_equal(kn_wide_parse(KN_STR("340282366920938463463374607431768211456"), limb, 4),
                     -EMSGSIZE);
    assert_int_equal(kn_wide_parse(KN_STR(""), limb, 4), -EINVAL);
    assert_int_equal(kn_wide_parse(KN_STR("12a"), limb, 4), -EINVAL);
    assert_int_equal(kn_wide_parse(KN_STR("-1"), limb, 4), -EINVAL);
    assert_ok(kn_wide_parse(KN_STR("00000000000000000000000000000000000000000000007"), limb, 1));
    assert_int_equal(limb[0], 7);
}

TEST(bits_are_found_where_they_were_put)
{
    uint32_t limb[6] = {0};
    kn_wide_put_bits(limb, 6, 30, 36, UINT64_C(0xabcdef123));
    kn_wide_put_bits(limb, 6, 66, 64, UINT64_C(0x8123456789abcdef));
    kn_wide_put_bits(limb, 6, 188, 4, 9);
    assert_true(kn_wide_bits(limb, 6, 30, 36) == UINT64_C(0xabcdef123));
    assert_true(kn_wide_bits(limb, 6, 66, 64) == UINT64_C(0x8123456789abcdef));
    assert_true(kn_wide_bits(limb, 6, 188, 4) == 9);
    assert_true(kn_wide_bits(limb, 6, 0, 30) == 0 && kn_wide_bits(limb, 6, 130, 58) == 0);
}

TESTS_MAIN(TEST_OF(text_and_value_go_both_ways),
           TEST_OF(what_does_not_fit_or_is_no_number_is_refused),
           TEST_OF(bits_are_found_where_they_were_put))
