/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eventstream_sample TYPE PAYLOAD …: an initial response, an event of that type for each payload
 * and an exception at last, as a SubscribeToShard answer would hold them, on standard output.
 */
#include "core/eventstream.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    static const char json[] = "application/x-amz-json-1.1";
    struct kn_buf out;
    struct kn_eventstream message;
    if (argc < 2)
        return 2;
    kn_buf_init(&out, MIB(64));
    kn_eventstream_initial(&out, json);
    for (int i = 2; i < argc; i++) {
        message = kn_eventstream_event(&out, argv[1], json);
        (void) kn_buf_append_text(&out, argv[i]); /* errors stick in out */
        kn_eventstream_end(&out, message);
    }
    message = kn_eventstream_exception(&out, "ResourceInUseException", json);
    (void) kn_buf_append_text(&out, "{\"message\":\"Another subscriber took over.\"}");
    kn_eventstream_end(&out, message);
    bool written = !out.error && fwrite(out.ptr, 1, out.len, stdout) == out.len;
    kn_buf_done(&out);
    return written && fflush(stdout) == 0 ? 0 : 1;
}
