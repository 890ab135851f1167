/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kinema credentials: makes, lists and revokes access keys, beside a running server or without one
 * (it sees the change by the catalogue's generation; storage/credential.h).
 */
#include "command.h"
#include "folder.h"

#include "core/api_row.h"
#include "core/json.h"
#include "core/keyring.h"
#include "datastream/datastream.h"
#include "ingest/ingest.h"
#include "playback/playback.h"
#include "storage/credential.h"

static const struct server_option options[] = {
    {"json",              NULL,      "Print JSON: {\"AccessKeyId\":…,\"SecretAccessKey\":…}."       },
    {"allow",             "ACTION",
     "create: what the key may do, such as kinesisvideo:PutMedia or "
     "'kinesisvideo:Get*'; repeat for more. Without: everything."                                       },
    {"stream",            "PATTERN",
     "create: on which streams, such as 'cam-*'; repeat for more. Without: "
     "all of them."                                                                                     },
    {"expires-in",        "HOURS",   "create: the key ends after so many hours."                        },
    {"session",           NULL,      "create: a temporary key with a session token; wants --expires-in."},
    {"access-key-id",     "ID",      "create: this id instead of a random one."                         },
    {"secret-access-key", "SECRET",  "create: this secret instead of a random one."                     },
};

static bool given(const struct server_arg *arg, const char *name)
{
    return !arg->setting && kn_str_eq(arg->name, kn_str_from(name));
}

/* A key whose action is mistyped would be refused later, far from here. */
static bool is_action(struct kn_str pattern)
{
    static const struct kn_api_service *const services[] = {
        &ingest_api_service, &playback_api_service, &datastream_api_service};
    const struct kn_key key = {.grants = {{pattern, KN_STR("*")}}, .grant_count = 1};
    for (size_t i = 0; i < KN_ARRAY_LEN(services); i++)
        for (size_t k = 0; k < services[i]->operation_count; k++)
            if (kn_key_allows(&key, kn_str_from(services[i]->operations[k]->action),
                              (struct kn_str){NULL, 0}))
                return true;
    return false;
}

/* Every --allow on every --stream. */
static int read_grants(const struct server_args *args, struct kn_key_grant *grants,
                       size_t *ret_count, struct kn_err *err)
{
    bool any_allow = server_args_has(args, "allow"), any_stream = server_args_has(args, "stream");
    size_t count = 0;
    for (size_t a = 0; a < args->given_count; a++) {
        bool allow = given(&args->given[a], "allow");
        if (!allow && (any_allow || a > 0))
            continue;
        struct kn_str action = allow ? kn_str_from(args->given[a].value) : KN_STR("*");
        if (!is_action(action))
            return kn_fail(err, -EINVAL,
                           "--allow " KN_STR_FMT ": no operation has that name; they begin with "
                           "kinesisvideo:, kinesis: or kinema:, as in kinesisvideo:PutMedia",
                           KN_STR_ARG(action));
        for (size_t s = 0; s < args->given_count; s++) {
            bool stream = given(&args->given[s], "stream");
            if (!stream && (any_stream || s > 0))
                continue;
            if (count == KN_KEY_GRANTS_MAX)
                return kn_fail(err, -EINVAL, "more than %d grants on one key", KN_KEY_GRANTS_MAX);
            grants[count++] = (struct kn_key_grant){
                action, stream ? kn_str_from(args->given[s].value) : KN_STR("*")};
        }
    }
    *ret_count = any_allow || any_stream ? count : 0;
    return 0;
}

static void write_key_json(struct kn_json_writer *w, const struct kn_key *key)
{
    kn_json_key(w, "AccessKeyId");
    kn_json_str(w, key->id);
    kn_json_key(w, "SecretAccessKey");
    kn_json_str(w, key->secret);
    if (key->session_token.len > 0) {
        kn_json_key(w, "SessionToken");
        kn_json_str(w, key->session_token);
    }
    if (key->expires_ms > 0) {
        char when[KN_TIME_TEXT_BYTES];
        kn_time_iso8601(key->expires_ms, when);
        kn_json_key(w, "Expiration");
        kn_json_text(w, when);
    }
}

static int print_key(const struct kn_key *key, bool json)
{
    if (!json) {
        (void) printf("AWS_ACCESS_KEY_ID=" KN_STR_FMT "\nAWS_SECRET_ACCESS_KEY=" KN_STR_FMT "\n",
                      KN_STR_ARG(key->id), KN_STR_ARG(key->secret));
        if (key->session_token.len > 0)
            (void) printf("AWS_SESSION_TOKEN=" KN_STR_FMT "\n", KN_STR_ARG(key->session_token));
        return 0;
    }
    struct kn_buf out;
    struct kn_json_writer w;
    kn_buf_init(&out, MIB(1));
    kn_json_writer_init(&w, &out);
    kn_json_object_begin(&w);
    write_key_json(&w, key);
    kn_json_object_end(&w);
    int code = out.error;
    if (code == 0)
        (void) printf(KN_STR_FMT "\n", KN_STR_ARG(kn_buf_str(&out)));
    kn_buf_done(&out);
    return code;
}

static int read_new(const struct server_args *args, struct kn_key_grant *grants,
                    struct storage_credential_new *ret, struct kn_err *err)
{
    int code = read_grants(args, grants, &ret->grant_count, err);
    if (code < 0)
        return code;
    const char *hours = server_args_get(args, "expires-in");
    uint64_t hour_count = 0;
    if (hours && (kn_str_to_u64(kn_str_from(hours), 87600, &hour_count) < 0 || hour_count == 0))
        return kn_fail(err, -EINVAL, "--expires-in wants 1 to 87600 hours, not \"%s\"", hours);
    ret->created_ms = kn_wall_ms(kn_clock_system());
    ret->expires_ms = hours ? ret->created_ms + (int64_t) hour_count * 3600 * 1000 : 0;
    ret->session = server_args_has(args, "session");
    if (ret->session && !hours)
        return kn_fail(err, -EINVAL, "--session wants --expires-in");
    ret->grants = grants;
    ret->id = kn_str_from(server_args_get(args, "access-key-id"));
    ret->secret = kn_str_from(server_args_get(args, "secret-access-key"));
    if (!ret->id.ptr != !ret->secret.ptr)
        return kn_fail(err, -EINVAL, "--access-key-id and --secret-access-key go together");
    return 0;
}

static enum server_exit create(struct server_config *config, const struct server_args *args)
{
    struct kn_err err = {0};
    struct kn_key_grant grants[KN_KEY_GRANTS_MAX];
    struct storage_credential_new what = {0};
    KN_CLEANUP(storage_meta_closep) struct storage_meta *meta = NULL;
    struct kn_key *key = NULL;
    if (read_new(args, grants, &what, &err) < 0) {
        server_complain("%s", err.text);
        return SERVER_EXIT_USAGE;
    }
    if (server_folder_catalogue(config, true, &meta, &err) < 0) {
        server_complain("%s", err.text);
        return SERVER_EXIT_DATA;
    }
    if (storage_credential_create(meta, &what, &key, &err) < 0) {
        server_complain("%s", err.text);
        return SERVER_EXIT_FAILED;
    }
    int code = print_key(key, server_args_has(args, "json"));
    storage_credential_free(key);
    return code < 0 ? SERVER_EXIT_FAILED : SERVER_EXIT_OK;
}

struct listing {
    bool json;
    struct kn_json_writer *w;
};

/* Secrets are not listed: who lost one makes a new key. */
static int list_one(void *ctx, const struct kn_key *key, int64_t created_ms)
{
    struct listing *listing = ctx;
    char created[KN_TIME_TEXT_BYTES], expires[KN_TIME_TEXT_BYTES] = "never";
    kn_time_iso8601(created_ms, created);
    if (key->expires_ms > 0)
        kn_time_iso8601(key->expires_ms, expires);
    if (!listing->json) {
        (void) printf(KN_STR_FMT "  created %s  expires %s ", KN_STR_ARG(key->id), created,
                      expires);
        for (size_t i = 0; i < key->grant_count; i++)
            (void) printf(" " KN_STR_FMT " on " KN_STR_FMT "%s", KN_STR_ARG(key->grants[i].action),
                          KN_STR_ARG(key->grants[i].stream), i + 1 < key->grant_count ? "," : "");
        (void) printf("\n");
        return 0;
    }
    struct kn_json_writer *w = listing->w;
    kn_json_object_begin(w);
    kn_json_key(w, "AccessKeyId");
    kn_json_str(w, key->id);
    kn_json_key(w, "Created");
    kn_json_text(w, created);
    kn_json_key(w, "Expires");
    kn_json_text(w, key->expires_ms > 0 ? expires : NULL);
    kn_json_key(w, "Grants");
    kn_json_array_begin(w);
    for (size_t i = 0; i < key->grant_count; i++) {
        kn_json_object_begin(w);
        kn_json_key(w, "Allow");
        kn_json_str(w, key->grants[i].action);
        kn_json_key(w, "Stream");
        kn_json_str(w, key->grants[i].stream);
        kn_json_object_end(w);
    }
    kn_json_array_end(w);
    kn_json_object_end(w);
    return 0;
}

static enum server_exit list(struct server_config *config, const struct server_args *args)
{
    struct kn_err err = {0};
    KN_CLEANUP(storage_meta_closep) struct storage_meta *meta = NULL;
    if (server_folder_catalogue(config, false, &meta, &err) < 0) {
        server_complain("%s", err.text);
        return SERVER_EXIT_DATA;
    }
    struct kn_buf out;
    struct kn_json_writer w;
    struct listing listing = {.json = server_args_has(args, "json"), .w = &w};
    kn_buf_init(&out, MIB(64));
    kn_json_writer_init(&w, &out);
    kn_json_array_begin(&w);
    int code = storage_credential_list(meta, list_one, &listing);
    kn_json_array_end(&w);
    if (code == 0 && listing.json && out.error == 0)
        (void) printf(KN_STR_FMT "\n", KN_STR_ARG(kn_buf_str(&out)));
    if (code == 0)
        code = listing.json ? out.error : 0;
    kn_buf_done(&out);
    if (code < 0)
        server_complain("the keys cannot be read: %s", kn_errname(code));
    return code < 0 ? SERVER_EXIT_FAILED : SERVER_EXIT_OK;
}

static enum server_exit revoke(struct server_config *config, const struct server_args *args)
{
    struct kn_err err = {0};
    KN_CLEANUP(storage_meta_closep) struct storage_meta *meta = NULL;
    if (args->word_count != 2) {
        server_complain("credentials revoke wants one access key id");
        return SERVER_EXIT_USAGE;
    }
    if (server_folder_catalogue(config, false, &meta, &err) < 0) {
        server_complain("%s", err.text);
        return SERVER_EXIT_DATA;
    }
    int code = storage_credential_revoke(meta, kn_str_from(args->words[1]));
    if (code == -ENOENT)
        server_complain("there is no key %s", args->words[1]);
    else if (code < 0)
        server_complain("key %s: %s", args->words[1], kn_errname(code));
    return code < 0 ? SERVER_EXIT_FAILED : SERVER_EXIT_OK;
}

static enum server_exit run(struct server_config *config, const struct server_args *args)
{
    static const struct {
        const char *word;
        enum server_exit (*run)(struct server_config *config, const struct server_args *args);
    } actions[] = {
        {"create", create},
        {"list",   list  },
        {"revoke", revoke}
    };
    for (size_t i = 0; args->word_count > 0 && i < KN_ARRAY_LEN(actions); i++)
        if (kn_str_eq(kn_str_from(args->words[0]), kn_str_from(actions[i].word)))
            return actions[i].run(config, args);
    server_complain("credentials wants create, list or revoke (see kinema credentials --help)");
    return SERVER_EXIT_USAGE;
}

static const char *const reads[] = {"data", "catalogue_bytes_max", NULL};

const struct server_command server_command_credentials = {
    .name = "credentials",
    .words = "create | list | revoke ID",
    .summary = "create, list and revoke access keys",
    .about =
        "Works beside a running server. SigV4 needs secrets that can be read back, so they lie "
        "in the\ndata folder, which only its owner may read. A key without --allow and "
        "--stream is an administrator.",
    .options = options,
    .option_count = KN_ARRAY_LEN(options),
    .settings = true,
    .reads = reads,
    .run = run,
};
