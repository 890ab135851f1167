/* SPDX-License-Identifier: Apache-2.0 */
/* The properties, one row each. Names are kvssink's where the meaning is. */
#include "sink.h"

#include <errno.h>
#include <stddef.h>

enum kind {
    TEXT,
    SECRET, /* can be set, not read */
    NUMBER,
    LARGE,
    SWITCH,
    STREAMING,
    CERTIFICATE
};

struct row {
    const char *name, *blurb;
    enum kind kind;
    size_t offset; /* of struct sink_settings */
    guint least, most, value;
};

#define AT(member) offsetof(struct sink_settings, member)
static const struct row rows[] = {
    {"stream-name",             "Name of the stream; it is made when it is not there",                            TEXT,        AT(stream_name),     0,
     0,                                                                                                                                                         0            },
    {"endpoint",                "URL of the control plane, as http://127.0.0.1:4566; none: AWS's of the region",
     TEXT,                                                                                                                     AT(endpoint),        0, 0,       0            },
    {"aws-region",              "Region; none: AWS_REGION or AWS_DEFAULT_REGION, or us-west-2",                   TEXT,        AT(region),
     0,                                                                                                                                                0,       0            },
    {"access-key",              "Access key id; none: AWS_ACCESS_KEY_ID and the rest of it from the environment",
     TEXT,                                                                                                                     AT(access_key),      0, 0,       0            },
    {"secret-key",              "Secret access key",                                                              SECRET,      AT(secret_key),      0, 0,       0            },
    {"session-token",           "Session token of a temporary access key",                                        SECRET,      AT(session_token),   0, 0,
     0                                                                                                                                                                       },
    {"credential-path",
     "File with the line 'CREDENTIALS id secret' or 'CREDENTIALS id expiration secret token'; it "
     "may be replaced at any time",                                                                               TEXT,        AT(credential_path), 0, 0,       0            },
    {"iot-certificate",
     "Keys for a certificate: "
     "iot-certificate,endpoint=HOST:PORT,cert-path=PEM,key-path=PEM,ca-path=PEM,role-aliases=NAME,"
     "iot-thing-name=NAME",                                                                                       CERTIFICATE, AT(iot_certificate), 0, 0,       0            },
    {"ca-file",                 "Certificates to trust, PEM; none: the system's",                                 TEXT,        AT(ca_file),         0, 0,       0            },
    {"content-type",            "Media type of a new stream; none: from the codecs, as video/h264,audio/aac",
     TEXT,                                                                                                                     AT(content_type),    0, 0,       0            },
    {"device-name",             "Device name of a new stream",                                                    TEXT,        AT(device_name),     0, 0,       0            },
    {"retention-period",        "Retention of a new stream in hours; 0: nothing is kept",                         NUMBER,
     AT(retention_hours),                                                                                                                           0, 87600,   2            },
    {"allow-create-stream",     "A stream that is not there is made",                                             SWITCH,      AT(allow_create),    0, 0,
     1                                                                                                                                                                       },
    {"streaming-type",          "What a full buffer means: frames are dropped, or upstream waits",                STREAMING,
     AT(streaming),                                                                                                                                 0, 0,       SINK_REALTIME},
    {"storage-size",            "Buffer in MiB for what is not confirmed yet; allocated at once",                 NUMBER,
     AT(storage_mb),                                                                                                                                1, 4096,    128          },
    {"spill-file",              "File for what the buffer cannot hold; it does not outlive the element",          TEXT,
     AT(spill_file),                                                                                                                                0, 0,       0            },
    {"spill-size",              "Size of the spill file in MiB at most",                                          NUMBER,      AT(spill_mb),        0, 1 << 20, 1024         },
    {"fragment-duration",       "Length of a fragment without a video track, in ms",                              NUMBER,
     AT(fragment_ms),                                                                                                                               1, 20000,   2000         },
    {"pad-wait",
     "In real time: how long in ms others wait for a pad that brings nothing, beside the "
     "pipeline's "
     "latency; 0: as long as it takes",                                                                           NUMBER,      AT(pad_wait_ms),     0, 60000,   500          },
    {"file-start-time",         "Time of the first frame, in seconds since 1970; 0: now",                         LARGE,
     AT(file_start_s),                                                                                                                              0, 0,       0            },
    {"use-original-pts",        "Timestamps of buffers are taken as they are, as time since 1970",                SWITCH,
     AT(original_pts),                                                                                                                              0, 0,       0            },
    {"fragment-acks",           "Acknowledgements are told by the signal fragment-ack",                           SWITCH,
     AT(fragment_acks),                                                                                                                             0, 0,       1            },
    {"absolute-fragment-times", "Times of fragments are absolute; false is not supported",                        SWITCH,
     AT(absolute_times),                                                                                                                            0, 0,       1            },
    {"key-frame-fragmentation", "A fragment begins at each key frame; false is not supported",
     SWITCH,                                                                                                                   AT(key_frames),      0, 0,       1            },
    {"eos-timeout",
     "How long the end of the stream waits in s until all is confirmed; 0: without an end",                       NUMBER,
     AT(eos_timeout_s),                                                                                                                             0, 86400,   120          },
    {"stop-timeout",            "How long a change to READY waits in ms for what is not confirmed",               NUMBER,
     AT(stop_timeout_ms),                                                                                                                           0, 600000,  2000         },
};

static GType streaming_type(void)
{
    static const GEnumValue values[] = {
        {SINK_REALTIME, "The oldest fragments are dropped, and told", "realtime"},
        {SINK_OFFLINE,  "Upstream waits, nothing is dropped",         "offline" },
        {0,             NULL,                                         NULL      }
    };
    static gsize type;
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("KinemaSinkStreamingType", values));
    return (GType) type;
}

static void *at(GObject *object, const struct row *row)
{
    return (char *) &KINEMA_SINK(object)->settings + row->offset;
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec)
{
    const struct row *row = &rows[id - 1];
    void *to = at(object, row);
    (void) spec;
    GST_OBJECT_LOCK(object);
    switch (row->kind) {
    case TEXT:
    case SECRET:
        g_free(*(char **) to);
        *(char **) to = g_value_dup_string(value);
        break;
    case NUMBER:
        *(guint *) to = g_value_get_uint(value);
        break;
    case LARGE:
        *(guint64 *) to = g_value_get_uint64(value);
        break;
    case SWITCH:
        *(gboolean *) to = g_value_get_boolean(value);
        break;
    case STREAMING:
        *(int *) to = g_value_get_enum(value);
        break;
    case CERTIFICATE:
        gst_clear_structure((GstStructure **) to);
        *(GstStructure **) to = g_value_dup_boxed(value);
        break;
    }
    GST_OBJECT_UNLOCK(object);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
    const struct row *row = &rows[id - 1];
    const void *from = at(object, row);
    (void) spec;
    GST_OBJECT_LOCK(object);
    switch (row->kind) {
    case TEXT:
        g_value_set_string(value, *(char *const *) from);
        break;
    case SECRET:
        break;
    case NUMBER:
        g_value_set_uint(value, *(const guint *) from);
        break;
    case LARGE:
        g_value_set_uint64(value, *(const guint64 *) from);
        break;
    case SWITCH:
        g_value_set_boolean(value, *(const gboolean *) from);
        break;
    case STREAMING:
        g_value_set_enum(value, *(const int *) from);
        break;
    case CERTIFICATE:
        g_value_set_boxed(value, *(GstStructure *const *) from);
        break;
    }
    GST_OBJECT_UNLOCK(object);
}

static GParamSpec *spec_of(const struct row *row)
{
    GParamFlags flags =
        G_PARAM_CONSTRUCT | G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;
    switch (row->kind) {
    case TEXT:
        break;
    case SECRET:
        flags &= ~(GParamFlags) G_PARAM_READABLE;
        break;
    case NUMBER:
        return g_param_spec_uint(row->name, row->name, row->blurb, row->least, row->most,
                                 row->value, flags);
    case LARGE:
        return g_param_spec_uint64(row->name, row->name, row->blurb, 0, G_MAXINT64 / 1000, 0,
                                   flags);
    case SWITCH:
        return g_param_spec_boolean(row->name, row->name, row->blurb, row->value != 0, flags);
    case STREAMING:
        return g_param_spec_enum(row->name, row->name, row->blurb, streaming_type(),
                                 (int) row->value, flags);
    case CERTIFICATE:
        return g_param_spec_boxed(row->name, row->name, row->blurb, GST_TYPE_STRUCTURE, flags);
    }
    return g_param_spec_string(row->name, row->name, row->blurb, NULL, flags);
}

void sink_install_properties(GObjectClass *object_class)
{
    object_class->set_property = set_property;
    object_class->get_property = get_property;
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        g_object_class_install_property(object_class, i + 1, spec_of(&rows[i]));
    gst_type_mark_as_plugin_api(streaming_type(), 0);
}

void sink_free_settings(struct sink_settings *settings)
{
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].kind == TEXT || rows[i].kind == SECRET)
            g_free(*(char **) ((char *) settings + rows[i].offset));
    gst_clear_structure(&settings->iot_certificate);
}

/* --- what they mean --------------------------------------------------------------------------- */
const char *sink_check_settings(const struct sink_settings *s)
{
    return !s->stream_name || !*s->stream_name ? "stream-name is missing."
           : (s->access_key && *s->access_key) != (s->secret_key && *s->secret_key)
               ? "access-key and secret-key are set together."
           : !s->absolute_times ? "absolute-fragment-times=false is not supported."
           : !s->key_frames     ? "key-frame-fragmentation=false is not supported."
                                : NULL;
}

const char *sink_region(const struct sink_settings *settings)
{
    const char *given[] = {settings->region, g_getenv("AWS_REGION"),
                           g_getenv("AWS_DEFAULT_REGION")};
    for (guint i = 0; i < G_N_ELEMENTS(given); i++)
        if (given[i] && *given[i])
            return given[i];
    return "us-west-2"; /* kvssink's */
}

int sink_open_credentials(const struct sink_settings *s, struct kinema_credential_provider **ret)
{
    struct kinema_credentials now;
    int code, from_file;
    if (s->iot_certificate)
        return kinema_credentials_iot(
            &(struct kinema_iot){
                .endpoint = gst_structure_get_string(s->iot_certificate, "endpoint"),
                .role_alias = gst_structure_get_string(s->iot_certificate, "role-aliases"),
                .thing = gst_structure_get_string(s->iot_certificate, "iot-thing-name"),
                .certificate_file = gst_structure_get_string(s->iot_certificate, "cert-path"),
                .key_file = gst_structure_get_string(s->iot_certificate, "key-path"),
                .ca_file = gst_structure_get_string(s->iot_certificate, "ca-path")},
            ret);
    if (s->access_key && *s->access_key)
        return kinema_credentials_static(s->access_key, s->secret_key, s->session_token, ret);
    from_file = s->credential_path && *s->credential_path;
    code = from_file ? kinema_credentials_file(s->credential_path, ret)
                     : kinema_credentials_environment(ret);
    if (code == 0 && kinema_credentials_get(*ret, &now) < 0) {
        kinema_credentials_free(*ret);
        *ret = NULL;
        return from_file ? -EINVAL : -ENOENT;
    }
    return code;
}
