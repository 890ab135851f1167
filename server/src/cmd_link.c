/* SPDX-License-Identifier: Apache-2.0 */
/* kinema console-link: prints an address that opens the console once, without typing a key. */
#include "addresses.h"
#include "command.h"
#include "folder.h"
#include "link.h"
#include "local.h"

#include "storage/credential.h"

static const struct server_option options[] = {
    {"url",     "URL",
     "Where browsers reach the console. Without: where the running server listens, or is "
     "configured to."                                                                       },
    {"key",     "ID",  "Open it with this access key's rights. Without: an administrator's."},
    {"minutes", "N",   "How long the link waits to be opened, 1 to 1440; 60."               },
};

enum {
    URL_BYTES_MAX = 8192
};

struct choice {
    const char *wanted; /* NULL: an administrator */
    int64_t now_ms;
    char id[KN_KEY_ID_BYTES_MAX + 1];
    bool found;
};

static int choose(void *ctx, const struct kn_key *key, int64_t created_ms)
{
    struct choice *choice = ctx;
    (void) created_ms;
    if (choice->found || (key->expires_ms > 0 && key->expires_ms <= choice->now_ms))
        return 0;
    if (choice->wanted) {
        choice->found = kn_str_eq(key->id, kn_str_from(choice->wanted));
    } else {
        for (size_t i = 0; i < key->grant_count && !choice->found; i++)
            choice->found = kn_str_eq(key->grants[i].action, KN_STR("*")) &&
                            kn_str_eq(key->grants[i].stream, KN_STR("*"));
        choice->found |= key->grant_count == 0;
    }
    return choice->found ? kn_str_copy(choice->id, sizeof choice->id, key->id) : 0;
}

static int read_minutes(const struct server_args *args, uint64_t *ret)
{
    const char *text = server_args_get(args, "minutes");
    *ret = SERVER_LINK_MINUTES;
    if (!text)
        return 0;
    int code = kn_str_to_u64(kn_str_from(text), 1440, ret);
    return code < 0 || *ret == 0 ? -EINVAL : 0;
}

/* As given, else of the server that runs, which may listen elsewhere than this command's settings
 * say, else as they say. */
static int find_url(const struct server_config *config, const struct server_args *args,
                    struct kn_buf *dst, struct kn_err *err)
{
    const char *given = server_args_get(args, "url"), *console = config->server.console;
    struct kn_buf answer;
    if (given)
        return kn_buf_append_text(dst, given);
    kn_buf_init(&answer, SERVER_LOCAL_ANSWER_BYTES_MAX);
    int code =
        server_local_call(config->server.data, SERVER_ADDRESSES_PATH, KN_STR(""), &answer, NULL);
    if (code == 0)
        code = server_local_member(kn_buf_bytes(&answer), "console", dst);
    else if (!server_address_is_off(console))
        code = kn_buf_printf(dst, "http://%s", console);
    else
        code = -ENOENT;
    kn_buf_done(&answer);
    return code < 0 ? kn_fail(err, code, "the server has no console (setting console)") : 0;
}

static enum server_exit run(struct server_config *config, const struct server_args *args)
{
    struct kn_err err = {0};
    KN_CLEANUP(kn_buf_done) struct kn_buf url;
    KN_CLEANUP(storage_meta_closep) struct storage_meta *meta = NULL;
    struct choice choice = {.wanted = server_args_get(args, "key"),
                            .now_ms = kn_wall_ms(kn_clock_system())};
    char token[SERVER_LINK_TOKEN_BYTES];
    uint64_t minutes;
    kn_buf_init(&url, URL_BYTES_MAX);
    if (read_minutes(args, &minutes) < 0) {
        server_complain("--minutes wants 1 to 1440");
        return SERVER_EXIT_USAGE;
    }
    if (server_folder_catalogue(config, false, &meta, &err) < 0) {
        server_complain("%s", err.text);
        return SERVER_EXIT_DATA;
    }
    if (find_url(config, args, &url, &err) < 0) {
        server_complain("%s", err.text);
        return SERVER_EXIT_FAILED;
    }
    int code = storage_credential_list(meta, choose, &choice);
    if (code == 0 && !choice.found && (choice.wanted || !config->server.no_auth)) {
        server_complain(choice.wanted ? "there is no key %s"
                                      : "there is no administrator's key%s; make one with kinema "
                                        "credentials create",
                        choice.wanted ? choice.wanted : "");
        return SERVER_EXIT_FAILED;
    }
    if (code == 0)
        code = server_link_create(meta, kn_str_from(choice.id), choice.now_ms,
                                  choice.now_ms + (int64_t) minutes * 60000, token);
    if (code < 0) {
        server_complain("the link cannot be made: %s", kn_errsay(code));
        return SERVER_EXIT_FAILED;
    }
    (void) printf(KN_STR_FMT "%s#login=%s\n", KN_STR_ARG(kn_buf_str(&url)),
                  kn_str_ends_with(kn_buf_str(&url), KN_STR("/")) ? "" : "/", token);
    return SERVER_EXIT_OK;
}

static const char *const reads[] = {"data", "console", "no_auth", "catalogue_bytes_max", NULL};

const struct server_command server_command_link = {
    .name = "console-link",
    .words = "",
    .summary = "print a link that opens the console once",
    .about =
        "The link works one time, for a browser that reaches the console; it is as good as the "
        "key\nuntil it has been opened, so send it to nobody else.",
    .options = options,
    .option_count = KN_ARRAY_LEN(options),
    .settings = true,
    .reads = reads,
    .run = run,
};
