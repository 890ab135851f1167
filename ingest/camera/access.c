/* SPDX-License-Identifier: Apache-2.0 */
#include "access.h"

#include "door.h"
#include "say.h"

#include <errno.h>

#include "core/crypto.h"
#include "core/json.h"

#define REALM "Kinema"

enum {
    ANSWER_BYTES_MAX = 16 << 10,
    QUESTION_BYTES_MAX = 4 << 10,
    MD5_TEXT_BYTES = 2 * KN_MD5_BYTES + 1,
    NAME_BYTES_MAX = 256, /* of a stream: KVS, CreateStream */
};

/* GObject's macros want names of its kind. */
typedef struct {
    GstRTSPAuth parent;
    const char *socket_path;
    bool open;
    camera_admit_fn *admit;
    void *ctx;
} CameraAccess;
typedef struct {
    GstRTSPAuthClass parent;
} CameraAccessClass;
GType camera_access_get_type(void);
G_DEFINE_TYPE(CameraAccess, camera_access, GST_TYPE_RTSP_AUTH)

/* --- what the server says of a key ------------------------------------------------------------ */
struct verdict {
    bool exists, allowed;
    char ha1[MD5_TEXT_BYTES]; /* empty: there is no such key */
};

static int read_verdict(struct kn_bytes answer, struct verdict *ret)
{
    struct kn_arena arena;
    const struct kn_json_member members[] = {
        {"Exists",  .flag = &ret->exists  },
        {"Allowed", .flag = &ret->allowed },
        {"Ha1",     KN_JSON_TEXT(ret->ha1)},
    };
    *ret = (struct verdict){0};
    kn_arena_init(&arena, ANSWER_BYTES_MAX);
    int r = kn_json_object_read(answer, &arena, members, G_N_ELEMENTS(members));
    kn_arena_done(&arena);
    return r;
}

static void write_question(struct kn_buf *out, struct kn_str key, const char *action,
                           const char *stream)
{
    struct kn_json_writer w;
    kn_json_writer_init(&w, out);
    kn_json_object_begin(&w);
    kn_json_key(&w, "KeyId");
    kn_json_str(&w, key);
    kn_json_key(&w, "Realm");
    kn_json_text(&w, REALM);
    kn_json_key(&w, "Action");
    kn_json_text(&w, action);
    kn_json_key(&w, "StreamName");
    kn_json_text(&w, stream);
    kn_json_object_end(&w);
}

static int ask(const CameraAccess *access, const char *key, const char *action, const char *stream,
               struct verdict *ret)
{
    struct kn_buf out, answer;
    if (!g_utf8_validate(key, -1, NULL) || strlen(key) > KN_KEY_ID_BYTES_MAX)
        key = ""; /* nobody's */
    kn_buf_init(&out, QUESTION_BYTES_MAX);
    kn_buf_init(&answer, ANSWER_BYTES_MAX);
    write_question(&out, kn_str_from(key), action, stream);
    int status = out.error;
    if (status == 0)
        status = camera_door_call(access->socket_path, "/kinema/v1/local/rtspAccess",
                                  kn_buf_bytes(&out), &answer);
    int r = status == 200 ? read_verdict(kn_buf_bytes(&answer), ret) : -EREMOTEIO;
    if (answer.ptr)
        explicit_bzero(answer.ptr, answer.len);
    kn_buf_done(&out);
    kn_buf_done(&answer);
    return r;
}

/* --- who says he is whom ---------------------------------------------------------------------- */
struct claim {
    bool basic;
    const char *user, *password;                         /* Basic */
    const char *realm, *nonce, *uri, *response, *method; /* Digest */
    char *text;                                          /* freed by the caller */
};

static void md5_text(const char *text, char dst[MD5_TEXT_BYTES])
{
    uint8_t sum[KN_MD5_BYTES];
    kn_md5((struct kn_bytes){(const uint8_t *) text, strlen(text)}, sum);
    kn_hex_encode((struct kn_bytes){sum, sizeof sum}, dst);
}

static bool same_md5(const char *a, const char *b)
{
    unsigned differ = 0; /* in the same time, wherever they differ */
    if (strlen(a) != MD5_TEXT_BYTES - 1 || strlen(b) != MD5_TEXT_BYTES - 1)
        return false;
    for (size_t i = 0; i < MD5_TEXT_BYTES - 1; i++)
        differ |= (unsigned char) (a[i] ^ b[i]);
    return differ == 0;
}

static bool read_basic(const char *base64, struct claim *claim)
{
    gsize len = 0;
    guchar *plain = base64 ? g_base64_decode(base64, &len) : NULL;
    claim->text = plain ? g_strndup((const char *) plain, len) : NULL;
    g_free(plain);
    char *colon = claim->text ? strchr(claim->text, ':') : NULL;
    if (!colon)
        return false;
    *colon = '\0';
    claim->basic = true;
    claim->user = claim->text;
    claim->password = colon + 1;
    return true;
}

static bool read_digest(GstRTSPAuthParam **params, struct claim *claim)
{
    const struct {
        const char *name;
        const char **dst;
    } members[] = {
        {"username", &claim->user    },
        {"realm",    &claim->realm   },
        {"nonce",    &claim->nonce   },
        {"uri",      &claim->uri     },
        {"response", &claim->response},
    };
    for (; params && *params; params++) {
        for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
            if (!g_ascii_strcasecmp((*params)->name, members[i].name))
                *members[i].dst = (*params)->value;
        }
    }
    return claim->user && claim->realm && claim->nonce && claim->uri && claim->response;
}

static bool proves(const struct claim *claim, const char *ha1, const char *nonce)
{
    char ha2[MD5_TEXT_BYTES], wanted[MD5_TEXT_BYTES];
    char *text = claim->basic ? g_strdup_printf("%s:" REALM ":%s", claim->user, claim->password)
                              : g_strdup_printf("%s:%s", claim->method, claim->uri);
    md5_text(text, ha2);
    explicit_bzero(text, strlen(text));
    g_free(text);
    if (claim->basic)
        return same_md5(ha2, ha1);
    if (strcmp(claim->nonce, nonce) != 0 || strcmp(claim->realm, REALM) != 0)
        return false;
    text = g_strdup_printf("%s:%s:%s", ha1, nonce, ha2);
    md5_text(text, wanted);
    explicit_bzero(text, strlen(text));
    g_free(text);
    return same_md5(wanted, claim->response);
}

/* --- answers ---------------------------------------------------------------------------------- */
static void refuse(GstRTSPContext *ctx, GstRTSPStatusCode code, const struct camera_peer *peer,
                   bool stale)
{
    gst_rtsp_message_init_response(ctx->response, code, gst_rtsp_status_as_text(code),
                                   ctx->request);
    if (code == GST_RTSP_STS_UNAUTHORIZED) { /* the better one first */
        gst_rtsp_message_take_header(ctx->response, GST_RTSP_HDR_WWW_AUTHENTICATE,
                                     g_strdup_printf("Digest realm=\"" REALM
                                                     "\", nonce=\"%s\", algorithm=MD5%s",
                                                     peer->nonce, stale ? ", stale=TRUE" : ""));
        gst_rtsp_message_add_header(ctx->response, GST_RTSP_HDR_WWW_AUTHENTICATE,
                                    "Basic realm=\"" REALM "\"");
    }
    gst_rtsp_client_send_message(ctx->client, ctx->session, ctx->response);
}

/* The log is told once a connection, so that nobody fills it. */
static void note(struct camera_peer *peer, const char *stream, const char *user, const char *said)
{
    if (!peer->refused)
        camera_say("refused", stream, peer->address, user, said);
    peer->refused = true;
}

/* --- letting in ------------------------------------------------------------------------------- */
/* The first part of the path, when it may be a stream's name; freed by the caller. */
static char *stream_of(const GstRTSPUrl *uri)
{
    const char *path = uri && uri->abspath ? uri->abspath : "";
    path += *path == '/';
    size_t len = strcspn(path, "/");
    size_t good = strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    return len > 0 && len <= NAME_BYTES_MAX && good >= len ? g_strndup(path, len) : NULL;
}

static const char *action_of(GstRTSPMethod method, const struct camera_peer *peer)
{
    if (method == GST_RTSP_ANNOUNCE || method == GST_RTSP_RECORD)
        return "kinesisvideo:PutMedia";
    if (method == GST_RTSP_DESCRIBE || method == GST_RTSP_PLAY || !peer->action)
        return "kinesisvideo:GetMedia";
    return peer->action; /* of what was begun */
}

static GstRTSPStatusCode judge(const CameraAccess *access, const char *stream, const char *action,
                               const struct claim *claim, struct camera_peer *peer)
{
    struct verdict verdict;
    int r = ask(access, claim->user ? claim->user : "", action, stream, &verdict);
    if (r < 0)
        return GST_RTSP_STS_SERVICE_UNAVAILABLE;
    bool right = access->open || (*verdict.ha1 && proves(claim, verdict.ha1, peer->nonce));
    explicit_bzero(verdict.ha1, sizeof verdict.ha1);
    if (!right) {
        note(peer, stream, claim->user, "no such key, or not its secret");
        return GST_RTSP_STS_UNAUTHORIZED;
    }
    if (!verdict.allowed) {
        note(peer, stream, claim->user, "the key may not do this on this stream");
        return GST_RTSP_STS_FORBIDDEN;
    }
    return verdict.exists ? GST_RTSP_STS_OK : GST_RTSP_STS_NOT_FOUND;
}

static GstRTSPStatusCode let_in(const CameraAccess *access, GstRTSPContext *ctx, const char *stream,
                                const char *action, struct camera_peer *peer, bool *ret_stale)
{
    GstRTSPAuthCredential **all =
        gst_rtsp_message_parse_auth_credentials(ctx->request, GST_RTSP_HDR_AUTHORIZATION);
    struct claim claim = {.method = gst_rtsp_method_as_text(ctx->method)};
    bool claimed = false;
    for (size_t i = 0; all && all[i] && !claimed; i++) {
        if (all[i]->scheme == GST_RTSP_AUTH_BASIC)
            claimed = read_basic(all[i]->authorization, &claim);
        else if (all[i]->scheme == GST_RTSP_AUTH_DIGEST)
            claimed = read_digest(all[i]->params, &claim);
    }
    GstRTSPStatusCode code = GST_RTSP_STS_UNAUTHORIZED;
    *ret_stale = claimed && !claim.basic && strcmp(claim.nonce, peer->nonce) != 0;
    if (access->open || (claimed && !*ret_stale))
        code = judge(access, stream, action, &claim, peer);
    if (code == GST_RTSP_STS_OK) {
        g_free(peer->stream);
        peer->stream = g_strdup(stream);
        peer->action = action;
        g_strlcpy(peer->key, claimed ? claim.user : "", sizeof peer->key);
    }
    if (claim.text)
        explicit_bzero(claim.text, strlen(claim.text));
    g_free(claim.text);
    if (all)
        gst_rtsp_auth_credentials_free(all);
    return code;
}

static gboolean check_request(CameraAccess *access, GstRTSPContext *ctx, struct camera_peer *peer)
{
    bool stale = false;
    if (ctx->method == GST_RTSP_OPTIONS)
        return TRUE;
    char *stream = stream_of(ctx->uri);
    const char *action = action_of(ctx->method, peer);
    GstRTSPStatusCode code = GST_RTSP_STS_OK;
    bool begins = ctx->method == GST_RTSP_ANNOUNCE || ctx->method == GST_RTSP_DESCRIBE;
    bool is_in =
        peer->stream && (!stream || !strcmp(stream, peer->stream)) && !strcmp(action, peer->action);
    if (!is_in)
        code = let_in(access, ctx, stream ? stream : "?", action, peer, &stale);
    if (code == GST_RTSP_STS_OK && begins)
        code = stream ? access->admit(access->ctx, ctx, peer) : GST_RTSP_STS_NOT_FOUND;
    g_free(stream);
    if (code != GST_RTSP_STS_OK)
        refuse(ctx, code, peer, stale);
    return code == GST_RTSP_STS_OK;
}

static gboolean check(GstRTSPAuth *auth, GstRTSPContext *ctx, const gchar *what)
{
    if (!strcmp(what, GST_RTSP_AUTH_CHECK_URL)) {
        struct camera_peer *peer = camera_peer_of(ctx->client);
        __atomic_store_n(&peer->heard_us, INT64_MAX, __ATOMIC_RELAXED);
        gboolean good = check_request((CameraAccess *) auth, ctx, peer);
        __atomic_store_n(&peer->heard_us, g_get_monotonic_time(), __ATOMIC_RELAXED);
        return good;
    }
    /* Nobody says where to send: media goes to who asks. */
    return strcmp(what, GST_RTSP_AUTH_CHECK_TRANSPORT_CLIENT_SETTINGS) != 0;
}

static void camera_access_class_init(CameraAccessClass *class)
{
    class->parent.check = check;
}

static void camera_access_init(CameraAccess *access)
{
    (void) access;
}

GstRTSPAuth *camera_access_new(const char *socket_path, bool open, camera_admit_fn *admit,
                               void *ctx)
{
    CameraAccess *access = g_object_new(camera_access_get_type(), NULL);
    access->socket_path = socket_path;
    access->open = open;
    access->admit = admit;
    access->ctx = ctx;
    return &access->parent;
}
