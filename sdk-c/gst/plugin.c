/* SPDX-License-Identifier: Apache-2.0 */
#include "sink.h"

#include <curl/curl.h>

static gboolean plugin_init(GstPlugin *plugin)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return FALSE;
    return gst_element_register(plugin, "kinemasink", GST_RANK_NONE, KINEMA_TYPE_SINK);
}

#define PACKAGE "kinema"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, kinema,
                  "Sends to Kinesis Video Streams, and to Kinema", plugin_init, GST_PACKAGE_VERSION,
                  GST_LICENSE_UNKNOWN, "Kinema", "Kinema")
