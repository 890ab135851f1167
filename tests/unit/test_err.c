/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "core/err.h"

TEST(a_failure_records_its_story_and_is_returned)
{
    struct kn_err err = {.code = 0};
    assert_int_equal(kn_fail(&err, -ENOSPC, "%d bytes are left", 7), -ENOSPC);
    assert_int_equal(err.code, -ENOSPC);
    assert_string_equal(err.text, "7 bytes are left");
    assert_int_equal(kn_fail(NULL, -EIO, "nobody asks"), -EIO);
}

TEST(a_place_is_put_before_the_story)
{
    struct kn_err err = {.code = 0};
    (void) kn_fail(&err, -EINVAL, "no number");
    assert_int_equal(kn_fail_at(&err, -EIO, "line 3"), -EINVAL);
    assert_string_equal(err.text, "line 3: no number");
    assert_int_equal(kn_fail_at(NULL, -EIO, "line 3"), -EIO);
    struct kn_err untold = {.code = 0};
    assert_int_equal(kn_fail_at(&untold, -EIO, "line 3"), -EIO);
}

TEST(a_long_story_is_cut)
{
    char many[1000];
    memset(many, 'x', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    struct kn_err err = {.code = 0};
    (void) kn_fail(&err, -EINVAL, "%s", many);
    assert_int_equal(strlen(err.text), KN_ERR_TEXT_BYTES_MAX - 1);
    (void) kn_fail_at(&err, -EINVAL, many);
    assert_true(strlen(err.text) < KN_ERR_TEXT_BYTES_MAX);
    assert_non_null(strstr(err.text, ": "));
}

TEST(an_error_has_a_name_whatever_its_sign)
{
    assert_string_equal(kn_errname(-ENOSPC), "ENOSPC");
    assert_string_equal(kn_errsay(-EACCES), "Permission denied");
    assert_string_equal(kn_errsay(EACCES), "Permission denied");
    assert_string_equal(kn_errsay(-99999), "Unknown error");
    assert_string_equal(kn_errname(ENOSPC), "ENOSPC");
    assert_string_equal(kn_errname(-123456), "EUNKNOWN");
}

TESTS_MAIN(TEST_OF(a_failure_records_its_story_and_is_returned),
           TEST_OF(a_place_is_put_before_the_story), TEST_OF(a_long_story_is_cut),
           TEST_OF(an_error_has_a_name_whatever_its_sign))
