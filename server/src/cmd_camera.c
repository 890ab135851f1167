/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kinema camera: the cameras whose video a running server fetches. All but probe speak with the
 * server by the socket in its data folder; probe looks at a camera itself, by kinema-camera.
 */
#include "command.h"
#include "folder.h"
#include "local.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/json.h"

static const struct server_option options[] = {
    {"json",      NULL,      "list, show, secret list: the server's answer as it is."             },
    {"user",      "NAME",    "add, secret put: the camera's user, if it is not in the URL."       },
    {"password",  "WORD",
     "add, secret put, probe: its password; better in KINEMA_CAMERA_PASSWORD, since others see "
     "what "
     "a command was given."                                                                       },
    {"transport", "NAME",    "add, secret put, probe: auto, tcp, udp or http; auto is tcp."       },
    {"tls",       "NAME",    "add, secret put: verify or insecure, of rtsps:// URLs; insecure."   },
    {"schedule",  "CRON",    "add: when it is recorded, as in '0 0 8-17 ? * MON-FRI'; UTC."       },
    {"duration",  "SECONDS", "add: for how long each time the schedule says so, 60 to 3600; 3600."},
    {"retention", "HOURS",   "add: of a stream that is made for it; 168."                         },
    {"seconds",   "N",       "probe: how long to look, 1 to 60; 5."                               },
};

enum {
    RETENTION_HOURS_DEFAULT = 168,
    DURATION_S_DEFAULT = 3600,
};
#define NEXT_S_MAX 1e11 /* far past the last year of a schedule */

struct call {
    const char *dir;
    struct kn_buf body, answer;
    struct kn_json_writer w;
    struct kn_err err;
};

static void call_begin(struct call *call, const char *stream)
{
    kn_buf_clear(&call->body);
    kn_json_writer_init(&call->w, &call->body);
    kn_json_object_begin(&call->w);
    if (stream) {
        kn_json_key(&call->w, "StreamName");
        kn_json_text(&call->w, stream);
    }
}

static void member(struct call *call, const char *key, const char *value)
{
    if (!value)
        return;
    kn_json_key(&call->w, key);
    kn_json_text(&call->w, value);
}

static int call_end(struct call *call, const char *path)
{
    kn_json_object_end(&call->w);
    if (call->body.error)
        return kn_fail(&call->err, call->body.error, "out of memory");
    return server_local_call(call->dir, path, kn_buf_str(&call->body), &call->answer, &call->err);
}

/* --- add, rm ---------------------------------------------------------------------------------- */
static const char *password_of(const struct server_args *args)
{
    const char *given = server_args_get(args, "password");
    return given ? given : getenv("KINEMA_CAMERA_PASSWORD");
}

static int make_stream(struct call *call, const char *name, uint64_t hours)
{
    call_begin(call, name);
    kn_json_key(&call->w, "DataRetentionInHours");
    kn_json_u64(&call->w, hours);
    return call_end(call, "/createStream");
}

static int upper(const char *text, char *dst, size_t cap)
{
    if (kn_str_copy(dst, cap, kn_str_from(text)) < 0)
        return -EINVAL;
    for (char *c = dst; *c; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char) (*c - 'a' + 'A') : *c;
    return 0;
}

/* Where its video comes from: of a camera and of a secret. */
static void source(struct call *call, const struct server_args *args, const char *url)
{
    char name[16];
    static const struct {
        const char *option, *member;
    } names[] = {
        {"transport", "Transport"},
        {"tls",       "Tls"      }
    };
    member(call, "Url", url);
    member(call, "UserName", server_args_get(args, "user"));
    member(call, "Password", password_of(args));
    for (size_t i = 0; i < KN_ARRAY_LEN(names); i++) {
        const char *given = server_args_get(args, names[i].option);
        if (given) /* one that is too long is none the server knows */
            member(call, names[i].member, upper(given, name, sizeof name) == 0 ? name : given);
    }
}

static int put(struct call *call, const struct server_args *args, uint64_t duration_s)
{
    const char *schedule = server_args_get(args, "schedule");
    call_begin(call, args->words[1]);
    source(call, args, args->words[2]);
    if (schedule) {
        kn_json_key(&call->w, "Schedule");
        kn_json_object_begin(&call->w);
        member(call, "ScheduleExpression", schedule);
        kn_json_key(&call->w, "DurationInSeconds");
        kn_json_u64(&call->w, duration_s);
        kn_json_object_end(&call->w);
    }
    return call_end(call, "/kinema/v1/putCamera");
}

static enum server_exit add(struct call *call, const struct server_args *args)
{
    uint64_t hours = RETENTION_HOURS_DEFAULT, duration_s = DURATION_S_DEFAULT;
    const char *retention = server_args_get(args, "retention");
    const char *duration = server_args_get(args, "duration");
    if (args->word_count != 3) {
        server_complain("camera add wants a stream's name and the camera's URL");
        return SERVER_EXIT_USAGE;
    }
    if (retention && (kn_str_to_u64(kn_str_from(retention), 87600, &hours) < 0 || hours == 0)) {
        server_complain("--retention wants 1 to 87600 hours, not \"%s\"", retention);
        return SERVER_EXIT_USAGE;
    }
    if (duration && kn_str_to_u64(kn_str_from(duration), UINT32_MAX, &duration_s) < 0) {
        server_complain("--duration wants seconds, not \"%s\"", duration);
        return SERVER_EXIT_USAGE;
    }
    int code = put(call, args, duration_s);
    if (code == -ENXIO)
        code = make_stream(call, args->words[1], hours);
    else if (code == 0)
        hours = 0; /* the stream was there */
    if (code == 0 && hours > 0)
        code = put(call, args, duration_s);
    if (code < 0)
        return SERVER_EXIT_FAILED;
    (void) printf("%s: the server connects to it; see kinema camera show %s\n", args->words[1],
                  args->words[1]);
    return SERVER_EXIT_OK;
}

static enum server_exit drop(struct call *call, const struct server_args *args)
{
    if (args->word_count != 2) {
        server_complain("camera rm wants a stream's name");
        return SERVER_EXIT_USAGE;
    }
    call_begin(call, args->words[1]);
    if (call_end(call, "/kinema/v1/deleteCamera") < 0)
        return SERVER_EXIT_FAILED;
    (void) printf("%s: no camera any more; what was recorded stays\n", args->words[1]);
    return SERVER_EXIT_OK;
}

/* --- secrets ---------------------------------------------------------------------------------- */
static int secret_put(struct call *call, const struct server_args *args)
{
    struct kn_buf arn;
    call_begin(call, NULL);
    member(call, "SecretName", args->words[2]);
    source(call, args, args->words[3]);
    int code = call_end(call, "/kinema/v1/putCameraSecret");
    if (code < 0)
        return code;
    kn_buf_init(&arn, 4096);
    if (server_local_member(kn_buf_bytes(&call->answer), "SecretArn", &arn) == 0)
        (void) printf(KN_STR_FMT "\n", KN_STR_ARG(kn_buf_str(&arn)));
    kn_buf_done(&arn);
    return 0;
}

static int secret_drop(struct call *call, const struct server_args *args)
{
    call_begin(call, NULL);
    member(call, "SecretName", args->words[2]);
    int code = call_end(call, "/kinema/v1/deleteCameraSecret");
    if (code == 0)
        (void) printf("%s: no secret any more\n", args->words[2]);
    return code;
}

/* --- list, show ------------------------------------------------------------------------------- */
/* The members of a camera that a line is made of, and where they go. */
struct line {
    char name[257], state[16], url[200], fault[32], message[300], codec[64];
    double kbit, next_s;
    int64_t width, height, frames, reconnects;
};

static void line_text(const struct kn_json_reader *r, struct kn_arena *arena, char *dst, size_t cap)
{
    struct kn_str text = {NULL, 0};
    if (*dst || kn_json_unescape(r, arena, &text) < 0)
        return; /* the first one counts: of tracks, the picture's */
    text.len = kn_min_u64(text.len, cap - 1);
    (void) !kn_str_copy(dst, cap, text);
}

static void line_member(struct line *line, struct kn_str key, enum kn_json_token token,
                        const struct kn_json_reader *r, struct kn_arena *arena)
{
    const struct {
        const char *key;
        char *text;
        size_t cap;
        int64_t *number;
    } rows[] = {
        {"State",          line->state,   sizeof line->state,   NULL             },
        {"Url",            line->url,     sizeof line->url,     NULL             },
        {"Fault",          line->fault,   sizeof line->fault,   NULL             },
        {"FaultMessage",   line->message, sizeof line->message, NULL             },
        {"CodecId",        line->codec,   sizeof line->codec,   NULL             },
        {"Width",          NULL,          0,                    &line->width     },
        {"Height",         NULL,          0,                    &line->height    },
        {"FrameCount",     NULL,          0,                    &line->frames    },
        {"ReconnectCount", NULL,          0,                    &line->reconnects},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        if (!kn_str_eq(key, kn_str_from(rows[i].key)))
            continue;
        if (rows[i].text && token == KN_JSON_STRING)
            line_text(r, arena, rows[i].text, rows[i].cap);
        else if (rows[i].number && token == KN_JSON_NUMBER && *rows[i].number == 0)
            (void) !kn_json_number_i64(r, rows[i].number);
    }
    if (kn_str_eq(key, KN_STR("KilobitsPerSecond")) && token == KN_JSON_NUMBER)
        (void) !kn_json_number_double(r, &line->kbit);
    if (kn_str_eq(key, KN_STR("NextStartTime")) && token == KN_JSON_NUMBER)
        (void) !kn_json_number_double(r, &line->next_s);
}

static void print_line(const struct line *line)
{
    char next[KN_TIME_TEXT_BYTES] = "";
    (void) printf("%-24s %-10s %s", line->name, line->state, line->url);
    if (kn_str_eq(kn_str_from(line->state), KN_STR("RECORDING")))
        (void) printf("  %s %" PRId64 "x%" PRId64 " %.0f kbit/s", line->codec, line->width,
                      line->height, line->kbit);
    else if (line->next_s > 0 && line->next_s < NEXT_S_MAX)
        kn_time_iso8601((int64_t) (line->next_s * 1000), next);
    else if (*line->fault)
        (void) printf("  %s: %s", line->fault, line->message);
    (void) printf("%s%s\n", *next ? "  until " : "", next);
}

/* Each object that has the member `first`, its name, is a line. */
static void print_lines(struct kn_bytes json, const char *first)
{
    struct kn_json_reader r;
    struct kn_arena arena;
    enum kn_json_token token;
    struct line line = {0};
    kn_arena_init(&arena, MIB(16));
    kn_json_reader_init(&r, json);
    while (kn_json_next(&r, &token) == 0 && token != KN_JSON_DONE) {
        if (token != KN_JSON_KEY)
            continue;
        struct kn_str key = r.raw;
        if (kn_json_next(&r, &token) < 0)
            break;
        if (kn_str_eq(key, kn_str_from(first)) && token == KN_JSON_STRING) {
            if (*line.name)
                print_line(&line);
            line = (struct line){0};
            line_text(&r, &arena, line.name, sizeof line.name);
        }
        line_member(&line, key, token, &r, &arena);
    }
    if (*line.name)
        print_line(&line);
    kn_arena_done(&arena);
}

static void print_answer(const struct call *call, const struct server_args *args, const char *first)
{
    if (server_args_has(args, "json"))
        (void) printf(KN_STR_FMT "\n", KN_STR_ARG(kn_buf_str(&call->answer)));
    else
        print_lines(kn_buf_bytes(&call->answer), first);
}

static enum server_exit list(struct call *call, const struct server_args *args, const char *path,
                             const char *first)
{
    struct kn_buf token;
    kn_buf_init(&token, 4096);
    int code;
    do {
        call_begin(call, NULL);
        if (token.len > 0) {
            kn_json_key(&call->w, "NextToken");
            kn_json_str(&call->w, kn_buf_str(&token));
        }
        code = call_end(call, path);
        if (code < 0)
            break;
        print_answer(call, args, first);
        kn_buf_clear(&token);
    } while (server_local_member(kn_buf_bytes(&call->answer), "NextToken", &token) == 0);
    kn_buf_done(&token);
    return code < 0 ? SERVER_EXIT_FAILED : SERVER_EXIT_OK;
}

static enum server_exit list_cameras(struct call *call, const struct server_args *args)
{
    return list(call, args, "/kinema/v1/listCameras", "StreamName");
}

static enum server_exit secret(struct call *call, const struct server_args *args)
{
    struct kn_str word = kn_str_from(args->word_count > 1 ? args->words[1] : "");
    int code;
    if (kn_str_eq(word, KN_STR("list")) && args->word_count == 2)
        return list(call, args, "/kinema/v1/listCameraSecrets", "SecretName");
    if (kn_str_eq(word, KN_STR("put")) && args->word_count == 4) {
        code = secret_put(call, args);
    } else if (kn_str_eq(word, KN_STR("rm")) && args->word_count == 3) {
        code = secret_drop(call, args);
    } else {
        server_complain("camera secret wants put NAME URL, list, or rm NAME");
        return SERVER_EXIT_USAGE;
    }
    return code < 0 ? SERVER_EXIT_FAILED : SERVER_EXIT_OK;
}

static enum server_exit show(struct call *call, const struct server_args *args)
{
    if (args->word_count != 2) {
        server_complain("camera show wants a stream's name");
        return SERVER_EXIT_USAGE;
    }
    call_begin(call, args->words[1]);
    if (call_end(call, "/kinema/v1/describeCamera") < 0)
        return SERVER_EXIT_FAILED;
    print_answer(call, args, "StreamName");
    return SERVER_EXIT_OK;
}

/* --- probe ------------------------------------------------------------------------------------ */
static enum server_exit probe(const struct server_config *config, const struct server_args *args)
{
    char program[PATH_MAX];
    char *argv[10] = {(char[]){"kinema-camera"}, (char[]){"probe"}};
    size_t count = 2;
    struct kn_err err = {0};
    if (args->word_count != 2) {
        server_complain("camera probe wants a camera's URL");
        return SERVER_EXIT_USAGE;
    }
    argv[count++] = (char *) (uintptr_t) args->words[1];
    static const char *const passed[] = {"transport", "seconds"};
    static const char *const flags[] = {"--transport", "--seconds"};
    for (size_t i = 0; i < KN_ARRAY_LEN(passed); i++) {
        const char *value = server_args_get(args, passed[i]);
        if (!value)
            continue;
        argv[count++] = (char *) (uintptr_t) flags[i];
        argv[count++] = (char *) (uintptr_t) value;
    }
    argv[count++] = (char[]){"--files"}; /* whoever looks has rights of his own */
    argv[count++] = (char[]){"/"};
    if (server_args_get(args, "password"))
        (void) setenv("KINEMA_CAMERA_PASSWORD", server_args_get(args, "password"), 1);
    if (server_camera_program(&config->server, program, &err) < 0) {
        server_complain("%s", err.text);
        return SERVER_EXIT_FAILED;
    }
    (void) fflush(stdout);
    (void) execv(program, argv);
    server_complain("%s cannot be started: %s", program, kn_errsay(errno));
    return SERVER_EXIT_FAILED;
}

static enum server_exit run(struct server_config *config, const struct server_args *args)
{
    static const struct {
        const char *word;
        enum server_exit (*run)(struct call *call, const struct server_args *args);
    } actions[] = {
        {"add",    add         },
        {"list",   list_cameras},
        {"rm",     drop        },
        {"secret", secret      },
        {"show",   show        }
    };
    struct kn_str word = kn_str_from(args->word_count > 0 ? args->words[0] : "");
    if (kn_str_eq(word, KN_STR("probe")))
        return probe(config, args);
    for (size_t i = 0; i < KN_ARRAY_LEN(actions); i++) {
        if (!kn_str_eq(word, kn_str_from(actions[i].word)))
            continue;
        struct call call = {.dir = config->server.data};
        kn_buf_init(&call.body, MIB(1));
        kn_buf_init(&call.answer, SERVER_LOCAL_ANSWER_BYTES_MAX);
        enum server_exit code = actions[i].run(&call, args);
        if (code == SERVER_EXIT_FAILED)
            server_complain("%s", call.err.text);
        kn_buf_done(&call.body);
        kn_buf_done(&call.answer);
        return code;
    }
    server_complain("camera wants add, list, show, rm, secret or probe (see kinema camera --help)");
    return SERVER_EXIT_USAGE;
}

static const char *const reads[] = {"data", "camera_program", NULL};

const struct server_command server_command_camera = {
    .name = "camera",
    .words = "add STREAM URL | list | show STREAM | rm STREAM | probe URL | secret put NAME URL | "
             "secret list | secret rm NAME",
    .summary = "record IP cameras by RTSP, and files as if they were some",
    .about = "The server connects to the camera and records it into the stream, which is made if "
             "there is none\nof that name. URLs begin with rtsp:// or rtsps:// and may hold "
             "user:password@; neither is ever\nlogged or shown. file:///… plays a file, or those "
             "of a folder, that lie where "
             "the server's camera_files says.\nA secret is a URL under a name, "
             "for the edge configurations of AWS's clients.\nAll but probe speak with the "
             "server that runs on the data folder.",
    .options = options,
    .option_count = KN_ARRAY_LEN(options),
    .settings = true,
    .reads = reads,
    .run = run,
};
