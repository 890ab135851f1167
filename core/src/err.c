/* SPDX-License-Identifier: Apache-2.0 */
/* Operating errors: their names, and their story where one is kept. */
#include "core/err.h"

#include <stdarg.h>

int kn_fail(struct kn_err *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list args;

        err->code = code;
        va_start(args, fmt);
        (void) vsnprintf(err->text, sizeof err->text, fmt, args); /* cut when too long */
        va_end(args);
    }
    return code;
}

int kn_fail_at(struct kn_err *err, int code, const char *prefix)
{
    char rest[KN_ERR_TEXT_BYTES_MAX];

    if (!err)
        return code;
    (void) snprintf(rest, sizeof rest, "%s", err->text);
    (void) snprintf(err->text, sizeof err->text, "%.100s: %.150s", prefix, rest);
    return err->code ? err->code : code;
}

const char *kn_errsay(int code)
{
    const char *words = strerrordesc_np(code < 0 ? -code : code);

    return words ? words : "Unknown error";
}

const char *kn_errname(int code)
{
    const char *name = strerrorname_np(code < 0 ? -code : code);

    return name ? name : "EUNKNOWN";
}
