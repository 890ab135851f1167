/* SPDX-License-Identifier: Apache-2.0 */
#include "core/nearest.h"

static char letter(char c)
{
    return c == '-' ? '_' : c;
}

/* How many letters must be put in, taken out or exchanged to make b of a. */
static size_t distance(struct kn_str a, const char *b)
{
    size_t row[KN_NEAREST_BYTES_MAX + 1], len = strlen(b);

    if (a.len > KN_NEAREST_BYTES_MAX || len > KN_NEAREST_BYTES_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t before = row[0]; /* of the row above, to the left */

        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t change = before + (letter(a.ptr[i - 1]) != letter(b[j - 1]));

            before = row[j];
            row[j] = kn_min_u64(change, 1 + kn_min_u64(row[j], row[j - 1]));
        }
    }
    return row[len];
}

void kn_nearest_init(struct kn_nearest *nearest, struct kn_str name)
{
    *nearest = (struct kn_nearest){
        .name = name,
        .least = kn_min_u64(2 + name.len / 4, 4), /* one more than what passes for a slip */
    };
}

void kn_nearest_try(struct kn_nearest *nearest, const char *known)
{
    size_t d = distance(nearest->name, known);

    if (d >= nearest->least)
        return;
    nearest->least = d;
    nearest->found = known;
}
