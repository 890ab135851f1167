/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only file that includes cmocka. A test file:
 *
 *   #include "test.h"
 *   TEST(a_sentence_that_says_what_holds) { … }
 *   TESTS_MAIN(TEST_OF(a_sentence_that_says_what_holds))
 */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

/* cmocka wants these four first, in this order. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <stdlib.h>

#include "core/base.h"
#include "core/bytes.h"

/* cmocka defines assert-like names only; a test that is not listed is an unused static function,
 * which the build refuses. */
#define TEST(name)    static void name(void **kn_test_state KN_UNUSED)
#define TEST_OF(name) cmocka_unit_test(name)
#define TESTS_MAIN(...)                                                                            \
    int main(void)                                                                                 \
    {                                                                                              \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                           \
        return cmocka_run_group_tests(tests, NULL, NULL);                                          \
    }

#define assert_ok(expr) assert_int_equal((expr), 0)
#define assert_str_is(got, text)                                                                   \
    do {                                                                                           \
        struct kn_str got_ = (got);                                                                \
        assert_int_equal(got_.len, strlen(text));                                                  \
        assert_memory_equal(got_.ptr, (text), got_.len);                                           \
    } while (0)

/* The seed of a randomised test: KINEMA_SEED replays it; printed either way. */
static inline uint64_t KN_UNUSED test_seed(void)
{
    const char *text = getenv("KINEMA_SEED");
    uint64_t seed =
        text ? strtoull(text, NULL, 10) : (uint64_t) (uintptr_t) &text ^ 0x9e3779b97f4a7c15u;
    printf("seed %llu (KINEMA_SEED replays it)\n", (unsigned long long) seed);
    return seed;
}

static inline uint64_t KN_UNUSED test_random(uint64_t *state) /* xorshift64* */
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1Du;
}

#endif
