/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <errno.h>

#include "core/conf.h"
#include "core/fs.h"

struct settings {
    uint64_t size_bytes, wait_ms;
    bool loud;
    char *name;
    int colour;
};

static const char *const colours[] = {"red", "green", NULL};
static const struct kn_conf_key keys[] = {
    {.name = "size_bytes",
     .type = KN_CONF_U64,
     .offset = offsetof(struct settings,     size_bytes),
     .min = 1024,
     .max = MIB(8),
     .def = MIB(1),
     .unit = "bytes",
     .help = "How big."},
    {.name = "wait_ms",
     .type = KN_CONF_U64,
     .offset = offsetof(struct settings, wait_ms),
     .min = 0,
     .max = 3600000,
     .def = 50,
     .unit = "ms",
     .help = "How long."},
    {.name = "loud",
     .type = KN_CONF_BOOL,
     .offset = offsetof(struct settings,                    loud),
     .unit = "",
     .help = "How loud."                        },
    {.name = "name",
     .type = KN_CONF_TEXT,
     .offset = offsetof(struct settings,                  name),
     .def_text = "x",
     .unit = "",
     .help = "Which."                        },
    {.name = "colour",
     .type = KN_CONF_CHOICE,
     .offset = offsetof(struct settings,                     colour),
     .choices = colours,
     .unit = "",
     .help = "What colour."},
};
static struct settings settings;
static const struct kn_conf_table table = {"Things", keys, KN_ARRAY_LEN(keys), &settings};

TEST(values_come_with_units_and_are_checked_against_the_range)
{
    struct kn_err err = {0};

    assert_ok(kn_conf_defaults(&table, 1));
    assert_true(settings.size_bytes == MIB(1) && settings.wait_ms == 50);
    assert_ok(kn_conf_set(&table, 1, KN_STR("size-bytes"), KN_STR("64 KiB"), &err));
    assert_true(settings.size_bytes == KIB(64));
    assert_ok(kn_conf_set(&table, 1, KN_STR("wait_ms"), KN_STR("2min"), &err));
    assert_true(settings.wait_ms == 120000);
    assert_int_equal(kn_conf_set(&table, 1, KN_STR("size_bytes"), KN_STR("1"), &err), -EINVAL);
    assert_non_null(strstr(err.text, "size_bytes: 1 is outside 1024"));
    assert_int_equal(kn_conf_set(&table, 1, KN_STR("wait_ms"), KN_STR("3 KiB"), &err), -EINVAL);
    assert_int_equal(kn_conf_set(&table, 1, KN_STR("wait_ms"), (struct kn_str){NULL, 0}, &err),
                     -EINVAL);
    assert_int_equal(kn_conf_set(&table, 1, KN_STR("nope"), KN_STR("3"), &err), -ENOENT);
    assert_int_equal(kn_conf_set(&table, 1, KN_STR("name"), KN_STR("a\0b"), &err), -EINVAL);
    assert_ok(kn_conf_set(&table, 1, KN_STR("loud"), KN_STR("yes"), &err));
    assert_ok(kn_conf_set(&table, 1, KN_STR("colour"), KN_STR("green"), &err));
    assert_int_equal(settings.colour, 1);
    assert_int_equal(kn_conf_set(&table, 1, KN_STR("colour"), KN_STR("blue"), &err), -EINVAL);
    kn_conf_done(&table, 1);
}

TEST(a_file_error_names_its_line)
{
    char path[] = "/tmp/kinema-conf-XXXXXX";
    int fd = mkstemp(path);
    struct kn_err err = {0};

    assert_true(fd >= 0);
    assert_ok(
        kn_fs_write_file(kn_fs_system(), path,
                         kn_bytes_of(KN_STR("# things\nname = a b # who\n\nloud = perhaps\n"))));
    assert_ok(kn_conf_defaults(&table, 1));
    assert_int_equal(kn_conf_read_file(&table, 1, path, &err), -EINVAL);
    assert_string_equal(settings.name, "a b");
    assert_non_null(strstr(err.text, ":4: loud"));
    kn_conf_done(&table, 1);
    (void) remove(path);
}

TEST(a_setting_given_twice_in_a_file_names_both_lines)
{
    char path[] = "/tmp/kinema-conf-XXXXXX";
    int fd = mkstemp(path);
    struct kn_err err = {0};

    assert_true(fd >= 0);
    assert_ok(kn_fs_write_file(
        kn_fs_system(), path,
        kn_bytes_of(KN_STR("# name = c\nwait-ms = 1\nname = a\n\nwait_ms = 2\nname = b\n"))));
    assert_ok(kn_conf_defaults(&table, 1));
    assert_int_equal(kn_conf_read_file(&table, 1, path, &err), -EINVAL);
    assert_non_null(strstr(err.text, ":5: wait_ms: line 2 sets it already"));
    kn_conf_done(&table, 1);
    (void) remove(path);
}

TEST(a_name_that_is_mistyped_names_the_nearest)
{
    static const struct {
        const char *name, *nearest;
    } rows[] = {
        {"nmae",       "name"      },
        {"names",      "name"      },
        {"colur",      "colour"    },
        {"sizebytes",  "size_bytes"},
        {"size-bites", "size_bytes"},
        {"wait_ms",    "wait_ms"   },
        {"",           NULL        },
        {"seed",       NULL        },
        {"shared",     NULL        },
        {"wait",       NULL        },
    };
    struct kn_err err = {0};

    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        const char *nearest = kn_conf_nearest(&table, 1, kn_str_from(rows[i].name));

        if (rows[i].nearest)
            assert_string_equal(nearest, rows[i].nearest);
        else
            assert_null(nearest);
    }
    assert_int_equal(kn_conf_set(&table, 1, KN_STR("colur"), KN_STR("red"), &err), -ENOENT);
    assert_string_equal(err.text, "there is no setting \"colur\"; is colour meant?");
}

static void on_slip(void *ctx, struct kn_str variable, const char *nearest)
{
    struct kn_buf *said = ctx;

    (void) kn_buf_printf(said, KN_STR_FMT ":%s ", KN_STR_ARG(variable), nearest);
}

TEST(variables_that_are_mistyped_are_told_and_others_are_not)
{
    char a[] = "KINEMA_SIZE_BYTES=2048", b[] = "LOUD=1", c[] = "KINEMA_SEED=1",
         d[] = "KINEMA_COLUR=red", e[] = "KINEMA_=", f[] = "KINEMA_LOUDD",
         g[] = "KINEMA_A_NAME_THAT_IS_LONGER_THAN_ANY_SETTING_CAN_BE_AND_THEN_SOME_MORE_LETTERS=1";
    char *vars[] = {a, b, c, d, e, f, g, NULL};
    struct kn_buf said;

    kn_buf_init(&said, KIB(1));
    kn_conf_slips(&table, 1, vars, on_slip, &said);
    assert_true(kn_str_eq(kn_buf_str(&said), KN_STR("KINEMA_COLUR:colour KINEMA_LOUDD:loud ")));
    kn_buf_done(&said);
}

TEST(the_environment_wins_over_what_was_set_before)
{
    char a[] = "KINEMA_SIZE_BYTES=2048", b[] = "PATH=/", c[] = "KINEMA_OTHER=1";
    char *vars[] = {a, b, c, NULL};

    assert_ok(kn_conf_defaults(&table, 1));
    assert_ok(kn_conf_read_env(&table, 1, vars, NULL));
    assert_true(settings.size_bytes == 2048);
    kn_conf_done(&table, 1);
}

TEST(help_and_reference_page_name_every_row)
{
    struct kn_buf out;

    kn_buf_init(&out, KIB(64));
    assert_ok(kn_conf_write_help(&table, 1, &out));
    assert_ok(kn_conf_write_markdown(&table, 1, &out));
    assert_ok(kn_buf_append_byte(&out, 0));
    assert_non_null(strstr((char *) out.ptr, "--size-bytes"));
    assert_non_null(
        strstr((char *) out.ptr, "| `size_bytes` | 1 KiB … 8 MiB | 1 MiB | How big. |"));
    kn_buf_done(&out);
}

TESTS_MAIN(TEST_OF(values_come_with_units_and_are_checked_against_the_range),
           TEST_OF(a_file_error_names_its_line),
           TEST_OF(a_setting_given_twice_in_a_file_names_both_lines),
           TEST_OF(a_name_that_is_mistyped_names_the_nearest),
           TEST_OF(variables_that_are_mistyped_are_told_and_others_are_not),
           TEST_OF(the_environment_wins_over_what_was_set_before),
           TEST_OF(help_and_reference_page_name_every_row))
