/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine's threads share: derived signing keys, and signatures that were used. */
#include "api_private.h"
#include "test.h"

#include <errno.h>
#include <pthread.h>

#include "core/crypto.h"

enum {
    THREADS = 4,
    ROUNDS = 2000
};

static struct kn_sigv4_auth auth_of(const char *date, const char *region)
{
    return (struct kn_sigv4_auth){.date = kn_str_from(date),
                                  .region = kn_str_from(region),
                                  .service = KN_STR("kinesisvideo")};
}

static void assert_key(struct kn_api_signing_keys *keys, struct kn_str id, struct kn_str secret,
                       const char *date, const char *region)
{
    const struct kn_key key = {.id = id, .secret = secret};
    const struct kn_sigv4_auth auth = auth_of(date, region);
    uint8_t got[KN_SIGV4_KEY_BYTES], want[KN_SIGV4_KEY_BYTES];
    kn_api_signing_key(keys, &key, &auth, got);
    kn_sigv4_key(secret, auth.date, auth.region, auth.service, want);
    assert_memory_equal(got, want, sizeof got);
}

TEST(a_kept_key_is_never_somebody_elses)
{
    struct kn_api_signing_keys *keys;
    char text[300];
    struct kn_str longer = {text, 200}, longest = {text, sizeof text};
    memset(text, 'x', sizeof text);
    assert_ok(kn_api_signing_keys_new(&keys));
    for (int round = 0; round < 3; round++) {
        assert_key(keys, KN_STR("A"), KN_STR("secret"), "20260101", "us-east-1");
        assert_key(keys, KN_STR("A"), KN_STR("secreT"), "20260101", "us-east-1");
        assert_key(keys, KN_STR("A"), KN_STR("secret"), "20260102", "us-east-1");
        assert_key(keys, KN_STR("A"), KN_STR("secret"), "20260101", "us-east-2");
        assert_key(keys, KN_STR("As"), KN_STR("ecret"), "20260101", "us-east-1");
        assert_key(keys, KN_STR("A"), longer, "20260101", "us-east-1");
        assert_key(keys, KN_STR("A"), longest, "20260101", "us-east-1");
        assert_key(keys, longer, longer, "20260101", "us-east-1");
    }
    kn_api_signing_keys_free(keys);
}

static struct kn_api_signing_keys *shared_keys;

static void *derive(void *arg)
{
    (void) arg;
    for (int i = 0; i < ROUNDS; i++) {
        char id[16];
        (void) snprintf(id, sizeof id, "K%d", i % 300);
        const struct kn_key key = {.id = kn_str_from(id), .secret = kn_str_from(id)};
        const struct kn_sigv4_auth auth = auth_of("20260101", "us-east-1");
        uint8_t got[KN_SIGV4_KEY_BYTES], want[KN_SIGV4_KEY_BYTES];
        kn_api_signing_key(shared_keys, &key, &auth, got);
        kn_sigv4_key(key.secret, auth.date, auth.region, auth.service, want);
        if (memcmp(got, want, sizeof got) != 0)
            return (void *) 1;
    }
    return NULL;
}

TEST(threads_share_the_keys)
{
    pthread_t threads[THREADS];
    assert_ok(kn_api_signing_keys_new(&shared_keys));
    for (int i = 0; i < THREADS; i++)
        assert_ok(pthread_create(&threads[i], NULL, derive, NULL));
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        assert_ok(pthread_join(threads[i], &failed));
        assert_null(failed);
    }
    kn_api_signing_keys_free(shared_keys);
}

/* --- replay ----------------------------------------------------------------------------------- */
static struct kn_str signature_of(uint64_t n, char dst[KN_SHA256_HEX_BYTES])
{
    uint8_t digest[KN_SHA256_BYTES];
    kn_sha256((struct kn_bytes){(const uint8_t *) &n, sizeof n}, digest);
    kn_hex_encode((struct kn_bytes){digest, sizeof digest}, dst);
    return (struct kn_str){dst, KN_SHA256_HEX_BYTES - 1};
}

TEST(a_signature_is_new_once_until_it_expires)
{
    struct kn_api_replay *replay;
    char text[KN_SHA256_HEX_BYTES];
    struct kn_str signature = signature_of(1, text);
    assert_ok(kn_api_replay_new(&replay));
    assert_ok(kn_api_replay_add(replay, signature, 1000, 2000));
    assert_int_equal(kn_api_replay_add(replay, signature, 1000, 2000), -EEXIST);
    assert_int_equal(kn_api_replay_add(replay, signature, 2000, 2000), -EEXIST);
    assert_ok(kn_api_replay_add(replay, signature, 2001, 3000));
    assert_int_equal(kn_api_replay_add(replay, KN_STR("xyz"), 1, 2), -EINVAL);
    kn_api_replay_free(replay);
}

TEST(a_full_memory_refuses_rather_than_forgets)
{
    struct kn_api_replay *replay;
    char text[KN_SHA256_HEX_BYTES];
    uint64_t taken = 0;
    int error = 0;
    assert_ok(kn_api_replay_new(&replay));
    for (uint64_t n = 0; n < 20000; n++) {
        int result = kn_api_replay_add(replay, signature_of(n, text), 1000, 2000);
        taken += result == 0;
        error = result ? result : error;
    }
    assert_int_equal(error, -EDQUOT);
    assert_true(taken > 15000);
    assert_int_equal(kn_api_replay_add(replay, signature_of(0, text), 1000, 2000), -EEXIST);
    assert_ok(kn_api_replay_add(replay, signature_of(99999, text), 2001, 3000)); /* all expired */
    kn_api_replay_free(replay);
}

static struct kn_api_replay *shared_replay;
static _Atomic unsigned winners;

static void *replay_all(void *arg)
{
    char text[KN_SHA256_HEX_BYTES];
    (void) arg;
    for (uint64_t n = 0; n < ROUNDS; n++)
        winners += kn_api_replay_add(shared_replay, signature_of(n, text), 1000, 2000) == 0;
    return NULL;
}

TEST(of_several_threads_one_is_first)
{
    pthread_t threads[THREADS];
    assert_ok(kn_api_replay_new(&shared_replay));
    for (int i = 0; i < THREADS; i++)
        assert_ok(pthread_create(&threads[i], NULL, replay_all, NULL));
    for (int i = 0; i < THREADS; i++)
        assert_ok(pthread_join(threads[i], NULL));
    assert_int_equal(winners, ROUNDS);
    kn_api_replay_free(shared_replay);
}

TESTS_MAIN(TEST_OF(a_kept_key_is_never_somebody_elses), TEST_OF(threads_share_the_keys),
           TEST_OF(a_signature_is_new_once_until_it_expires),
           TEST_OF(a_full_memory_refuses_rather_than_forgets),
           TEST_OF(of_several_threads_one_is_first))
