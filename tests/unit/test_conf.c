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
           TEST_OF(the_environment_wins_over_what_was_set_before),
           TEST_OF(help_and_reference_page_name_every_row))
