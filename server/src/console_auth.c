/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logins. The cookie is sealed (AES-GCM, key in the data folder) and holds when it ends, an id of
 * its own and the access key's id, so it survives a restart and dies with the key. It is HttpOnly
 * and SameSite=Strict. A wrong secret takes as long as a right one, and a wrong id as long as a
 * wrong secret; after too many wrong ones from one address the answer is 429 (console_failures.h).
 */
#include "console_call.h"
#include "link.h"

#include "core/log.h"

#define COOKIE_NAME "kinema_session"

enum {
    PLAIN_BYTES_MIN = 8 + CONSOLE_SESSION_ID_BYTES,
    PLAIN_BYTES_MAX = PLAIN_BYTES_MIN + KN_KEY_ID_BYTES_MAX,
};

static const char seal_aad[] = "kinema console session 1";

static struct kn_bytes aad(void)
{
    return kn_bytes_of(kn_str_from(seal_aad));
}

/* --- the cookie ------------------------------------------------------------------------------- */
static struct kn_str cookie_find(struct kn_str header)
{
    while (header.len > 0) {
        struct kn_str pair, name;
        header = kn_str_cut(header, ';', &pair);
        struct kn_str value = kn_str_cut(kn_str_trim(pair), '=', &name);
        if (value.ptr && kn_str_eq(name, KN_STR(COOKIE_NAME)))
            return value;
    }
    return (struct kn_str){0};
}

static bool is_logged_out(struct server_console *console, const uint8_t *id)
{
    KN_LOCKED(&console->lock);
    size_t count = kn_min_u64(console->logouts.count, CONSOLE_LOGOUTS_MAX);
    for (size_t i = 0; i < count; i++)
        if (memcmp(console->logouts.ids[i], id, CONSOLE_SESSION_ID_BYTES) == 0)
            return true;
    return false;
}

/* Opens the seal into call; the key id into dst. */
static int cookie_read(struct console_call *call, char dst[KN_KEY_ID_BYTES_MAX + 1])
{
    struct server_console *console = call->console;
    struct kn_str text = cookie_find(call->cookie);
    struct kn_buf sealed, plain;
    uint64_t expires_ms = 0;
    struct kn_bytes id = {0};
    if (text.len == 0 || text.len > CONSOLE_COOKIE_BYTES_MAX)
        return -ENOENT;
    kn_buf_init(&sealed, CONSOLE_COOKIE_BYTES_MAX);
    kn_buf_init(&plain, PLAIN_BYTES_MAX);
    int code = kn_base64_decode(text, true, &sealed);
    if (code == 0)
        code = kn_aead_open(console->session_key, kn_buf_bytes(&sealed), aad(), &plain);
    struct kn_reader in = kn_reader_of(kn_buf_bytes(&plain));
    if (code == 0 && (kn_read_u64be(&in, &expires_ms) < 0 ||
                      kn_read_bytes(&in, CONSOLE_SESSION_ID_BYTES, &id) < 0))
        code = -EBADMSG;
    if (code == 0) {
        memcpy(call->session_id, id.ptr, CONSOLE_SESSION_ID_BYTES);
        call->session_expires_ms = (int64_t) expires_ms;
        code = kn_str_copy(dst, KN_KEY_ID_BYTES_MAX + 1,
                           kn_str_of((struct kn_bytes){in.at, kn_reader_left(&in)}));
    }
    if (code == 0 && (call->session_expires_ms <= kn_wall_ms(console->conf.clock) ||
                      is_logged_out(console, call->session_id)))
        code = -ENOENT;
    kn_buf_done(&sealed);
    kn_buf_done(&plain);
    return code;
}

static int cookie_write(struct console_call *call, struct kn_str key_id)
{
    struct server_console *console = call->console;
    uint64_t life_ms = console->conf.config->server.console_session_ms;
    int64_t expires_ms = kn_wall_ms(console->conf.clock) + (int64_t) life_ms;
    uint8_t plain[PLAIN_BYTES_MAX];
    struct kn_buf sealed, text;
    if (key_id.len > KN_KEY_ID_BYTES_MAX)
        return -EINVAL;
    kn_put_u64be(plain, (uint64_t) expires_ms);
    kn_random(plain + 8, CONSOLE_SESSION_ID_BYTES);
    if (key_id.len > 0)
        memcpy(plain + PLAIN_BYTES_MIN, key_id.ptr, key_id.len);
    kn_buf_init(&sealed, CONSOLE_COOKIE_BYTES_MAX);
    kn_buf_init(&text, CONSOLE_COOKIE_BYTES_MAX);
    int code = kn_aead_seal(console->session_key,
                            (struct kn_bytes){plain, PLAIN_BYTES_MIN + key_id.len}, aad(), &sealed);
    if (code == 0)
        code = kn_base64_encode(kn_buf_bytes(&sealed), true, &text);
    if (code == 0) {
        int len =
            snprintf(call->set_cookie, sizeof call->set_cookie,
                     COOKIE_NAME "=" KN_STR_FMT "; Path=/; HttpOnly; SameSite=Strict; "
                                 "Max-Age=%" PRIu64 "%s",
                     KN_STR_ARG(kn_buf_str(&text)), life_ms / 1000, call->tls ? "; Secure" : "");
        code = len < 0 || (size_t) len >= sizeof call->set_cookie ? -EMSGSIZE : 0;
        call->session_expires_ms = expires_ms;
    }
    kn_buf_done(&sealed);
    kn_buf_done(&text);
    return code;
}

/* --- who asks --------------------------------------------------------------------------------- */
static int key_find(struct console_call *call, struct kn_str id, struct kn_key **ret)
{
    struct kn_keyring *ring = call->console->conf.keyring;
    struct kn_key *key = NULL;
    int code = id.len > 0 ? ring->find_blocking(ring, id, &key) : -ENOENT;
    if (code == 0 && key->expires_ms > 0 &&
        key->expires_ms <= kn_wall_ms(call->console->conf.clock)) {
        ring->unref(ring, key);
        code = -ENOENT;
    }
    if (code == 0)
        *ret = key;
    return code;
}

void console_auth_identify(struct console_call *call)
{
    char id[KN_KEY_ID_BYTES_MAX + 1];
    if (!call->console->conf.keyring) {
        call->authenticated = true;
        return;
    }
    if (cookie_read(call, id) == 0 && key_find(call, kn_str_from(id), &call->key) == 0)
        call->authenticated = true;
}

/* --- logging in ------------------------------------------------------------------------------- */
static bool has_guessed_too_often(struct console_call *call)
{
    KN_LOCKED(&call->console->lock);
    return console_failures_too_many(&call->console->failures, call->peer,
                                     kn_wall_ms(call->console->conf.clock));
}

static void count_failure(struct console_call *call)
{
    KN_LOCKED(&call->console->lock);
    console_failures_add(&call->console->failures, call->peer,
                         kn_wall_ms(call->console->conf.clock));
}

struct login {
    struct kn_str token, id, secret;
};

static int login_read(struct console_call *call, struct login *ret)
{
    const struct kn_json_member members[] = {
        {"token",           .str = &ret->token },
        {"accessKeyId",     .str = &ret->id    },
        {"secretAccessKey", .str = &ret->secret},
    };
    return kn_json_object_read(call->body, call->arena, members, KN_ARRAY_LEN(members));
}

/* 0 when the secret is the key's. Compares digests, so that neither content nor length shows. */
static int secret_check(struct console_call *call, const struct login *login)
{
    uint8_t want[KN_SHA256_BYTES], got[KN_SHA256_BYTES];
    struct kn_key *key = NULL;
    bool found = key_find(call, login->id, &key) == 0;
    kn_sha256(kn_bytes_of(found ? key->secret : KN_STR("no such key")), want);
    kn_sha256(kn_bytes_of(login->secret), got);
    bool same = kn_bytes_eq_const_time((struct kn_bytes){want, sizeof want},
                                       (struct kn_bytes){got, sizeof got});
    if (key)
        call->console->conf.keyring->unref(call->console->conf.keyring, key);
    return found && same ? 0 : -EACCES;
}

void console_run_login(struct console_call *call)
{
    struct server_console *console = call->console;
    struct login login = {0};
    char id[KN_KEY_ID_BYTES_MAX + 1] = "";
    if (has_guessed_too_often(call)) {
        console_fail(call, 429, "slow_down",
                     "too many wrong logins from your address; wait a minute");
        return;
    }
    if (login_read(call, &login) < 0) {
        console_fail(call, 400, "bad_request",
                     "a JSON object with a token, or with accessKeyId and "
                     "secretAccessKey, is wanted");
        return;
    }
    int code = 0;
    if (console->conf.keyring && login.token.len > 0) {
        struct kn_key *key = NULL;
        code = server_link_take(storage_meta_of(console->conf.storage), login.token,
                                kn_wall_ms(console->conf.clock), id);
        if (code == 0)
            code = key_find(call, kn_str_from(id), &key);
        if (key)
            console->conf.keyring->unref(console->conf.keyring, key);
    } else if (console->conf.keyring) {
        code = kn_str_copy(id, sizeof id, login.id);
        if (code == 0)
            code = secret_check(call, &login);
    }
    if (code < 0) {
        count_failure(call);
        kn_log_warn("console_login_refused", "by=%s key=" KN_LOG_QUOTED,
                    login.token.len > 0 ? "link" : "key", kn_log_quote(login.id));
        if (login.token.len > 0)
            console_fail(call, 401, "link_spent", "this link has been used or is too old");
        else
            console_fail(call, 401, "wrong_key", "the access key or its secret is wrong");
        return;
    }
    if (cookie_write(call, kn_str_from(id)) < 0) {
        console_fail(call, 500, "internal", "the login cannot be stored");
        return;
    }
    kn_log_info("console_login", "by=%s key=" KN_LOG_QUOTED, login.token.len > 0 ? "link" : "key",
                kn_log_quote(kn_str_from(id)));
    kn_json_object_begin(&call->json);
    kn_json_key(&call->json, "expiresMs");
    kn_json_i64(&call->json, call->session_expires_ms);
    kn_json_object_end(&call->json);
}

void console_run_logout(struct console_call *call)
{
    struct server_console *console = call->console;
    if (console->conf.keyring) {
        KN_LOCKED(&console->lock);
        size_t at = console->logouts.count++ % CONSOLE_LOGOUTS_MAX;
        memcpy(console->logouts.ids[at], call->session_id, CONSOLE_SESSION_ID_BYTES);
    }
    (void) snprintf(call->set_cookie, sizeof call->set_cookie,
                    COOKIE_NAME "=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    kn_json_object_begin(&call->json);
    kn_json_object_end(&call->json);
}

/* What the page must know before and after the login. */
void console_run_session(struct console_call *call)
{
    const struct server_settings *settings = &call->console->conf.config->server;
    struct kn_json_writer *w = &call->json;
    kn_json_object_begin(w);
    kn_json_key(w, "authenticated");
    kn_json_bool(w, call->authenticated);
    kn_json_key(w, "noAuth");
    kn_json_bool(w, !call->console->conf.keyring);
    if (call->authenticated) {
        kn_json_key(w, "accessKeyId");
        kn_json_text(w, call->key ? kn_arena_str(call->arena, call->key->id).ptr : NULL);
        kn_json_key(w, "expiresMs");
        kn_json_i64(w, call->session_expires_ms);
        kn_json_key(w, "version");
        kn_json_text(w, KINEMA_VERSION);
        kn_json_key(w, "apiUrl");
        kn_json_str(w, console_api_url(call));
        kn_json_key(w, "ingestUrl");
        kn_json_str(w, console_ingest_url(call));
        kn_json_key(w, "region");
        kn_json_text(w, settings->region);
        kn_json_key(w, "account");
        kn_json_text(w, settings->account);
        kn_json_key(w, "nowMs");
        kn_json_i64(w, kn_wall_ms(call->console->conf.clock));
    }
    kn_json_object_end(w);
}
