/* SPDX-License-Identifier: Apache-2.0 */
/* Access keys: making, listing, revoking, and a cache that never answers from the past. */
#include "temp_dir.h"
#include "test.h"

#include <stdatomic.h>

#include "core/buf.h"
#include "storage/credential.h"

struct fixture {
    struct temp_dir dir;
    struct storage_meta *meta;
    struct storage_keyring *cache;
    struct kn_keyring *ring;
};

static void setup(struct fixture *f)
{
    f->dir = temp_dir_new();
    char path[128];
    snprintf(path, sizeof path, "%s/catalogue", f->dir.path);
    assert_ok(storage_meta_open(path, MIB(16), &f->meta, NULL));
    assert_ok(storage_keyring_new(f->meta, &f->cache));
    f->ring = storage_keyring_base(f->cache);
}

static void teardown(struct fixture *f)
{
    storage_keyring_free(f->cache);
    storage_meta_close(f->meta);
    temp_dir_remove(&f->dir);
}

static struct kn_key *create(struct fixture *f, const struct storage_credential_new *what)
{
    struct kn_key *key = NULL;
    struct kn_err err = {0};
    int r = storage_credential_create(f->meta, what, &key, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_ok(r);
    return key;
}

/* As the engine asks: without waiting first. */
static int find(struct fixture *f, struct kn_str id, struct kn_key **ret, bool *ret_cached)
{
    int r = f->ring->find(f->ring, id, ret);
    *ret_cached = r != -EAGAIN;
    return r == -EAGAIN ? f->ring->find_blocking(f->ring, id, ret) : r;
}

TEST(a_key_made_without_grants_is_an_administrator_with_a_random_secret)
{
    struct fixture f;
    setup(&f);
    struct storage_credential_new what = {.created_ms = 5};
    struct kn_key *one = create(&f, &what), *two = create(&f, &what);

    assert_int_equal(one->id.len, 20);
    assert_memory_equal(one->id.ptr, "AKIA", 4);
    assert_int_equal(one->secret.len, 40);
    assert_int_equal(one->session_token.len, 0);
    assert_int_equal(one->grant_count, 1);
    assert_str_is(one->grants[0].action, "*");
    assert_str_is(one->grants[0].stream, "*");
    assert_false(kn_str_eq(one->id, two->id));
    assert_false(kn_str_eq(one->secret, two->secret));
    storage_credential_free(one);
    storage_credential_free(two);
    teardown(&f);
}

TEST(a_key_keeps_its_grants_expiry_and_session_token)
{
    struct fixture f;
    setup(&f);
    struct kn_key_grant grants[] = {
        {KN_STR("kinesisvideo:PutMedia"), KN_STR("cam-*")},
        {KN_STR("kinesisvideo:Get*"),     KN_STR("*")    }
    };
    struct storage_credential_new what = {
        .grants = grants, .grant_count = 2, .expires_ms = 77, .session = true, .created_ms = 5};
    struct kn_key *made = create(&f, &what), *found = NULL;
    bool cached;

    assert_ok(find(&f, made->id, &found, &cached));
    assert_memory_equal(found->id.ptr, "ASIA", 4);
    assert_true(kn_str_eq(found->secret, made->secret));
    assert_int_equal(found->session_token.len, 128);
    assert_true(kn_str_eq(found->session_token, made->session_token));
    assert_int_equal(found->expires_ms, 77);
    assert_int_equal(found->grant_count, 2);
    assert_str_is(found->grants[0].action, "kinesisvideo:PutMedia");
    assert_str_is(found->grants[0].stream, "cam-*");
    assert_str_is(found->grants[1].stream, "*");
    storage_credential_free(made);
    f.ring->unref(f.ring, found);
    teardown(&f);
}

TEST(the_cache_answers_without_waiting_until_the_catalogue_changes)
{
    struct fixture f;
    setup(&f);
    struct kn_key *made = create(
        &f, &(struct storage_credential_new){.id = KN_STR("test"), .secret = KN_STR("secret")});
    struct kn_key *first = NULL, *second = NULL, *third = NULL;
    bool cached;

    assert_ok(find(&f, KN_STR("test"), &first, &cached));
    assert_false(cached);
    assert_ok(find(&f, KN_STR("test"), &second, &cached));
    assert_true(cached);
    assert_ptr_equal(first, second);

    assert_ok(
        storage_meta_put(f.meta, kn_bytes_of(KN_STR("s/x")), kn_bytes_of(KN_STR("y")), 0, NULL));
    assert_ok(find(&f, KN_STR("test"), &third, &cached));
    assert_false(cached); /* looked at again, found unchanged, not read again */
    assert_ptr_equal(first, third);
    storage_credential_free(made);
    f.ring->unref(f.ring, first);
    f.ring->unref(f.ring, second);
    f.ring->unref(f.ring, third);
    teardown(&f);
}

TEST(a_revoked_key_is_unknown_from_the_next_question_on)
{
    struct fixture f;
    setup(&f);
    struct storage_credential_new what = {.id = KN_STR("test"), .secret = KN_STR("one")};
    storage_credential_free(create(&f, &what));
    struct kn_key *held = NULL, *found = NULL;
    bool cached;
    assert_ok(find(&f, KN_STR("test"), &held, &cached));

    assert_ok(storage_credential_revoke(f.meta, KN_STR("test")));
    assert_int_equal(find(&f, KN_STR("test"), &found, &cached), -ENOENT);
    assert_int_equal(storage_credential_revoke(f.meta, KN_STR("test")), -ENOENT);
    assert_str_is(held->secret, "one"); /* a request under way keeps its key */

    what.secret = KN_STR("two");
    storage_credential_free(create(&f, &what));
    assert_ok(find(&f, KN_STR("test"), &found, &cached));
    assert_str_is(found->secret, "two");
    f.ring->unref(f.ring, held);
    f.ring->unref(f.ring, found);
    teardown(&f);
}

TEST(a_second_key_of_one_id_and_bad_forms_are_refused)
{
    struct fixture f;
    setup(&f);
    struct kn_key_grant empty = {KN_STR(""), KN_STR("*")};
    struct {
        struct storage_credential_new what;
        int want;
    } cases[] = {
        {{.id = KN_STR("taken")},                                                     -EEXIST  },
        {{.id = KN_STR("with/slash")},                                                -EINVAL  },
        {{.id = KN_STR("with space")},                                                -EINVAL  },
        {{.id = KN_STR("a"), .secret = KN_STR("a b")},                                -EINVAL  },
        {{.id = KN_STR("a"), .grants = &empty, .grant_count = 1},                     -EINVAL  },
        {{.id = KN_STR("a"), .grants = &empty, .grant_count = KN_KEY_GRANTS_MAX + 1}, -EMSGSIZE},
    };
    storage_credential_free(create(&f, &(struct storage_credential_new){.id = KN_STR("taken")}));

    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        struct kn_key *key = NULL;
        struct kn_err err = {0};
        assert_int_equal(storage_credential_create(f.meta, &cases[i].what, &key, &err),
                         cases[i].want);
        assert_null(key);
        assert_true(strlen(err.text) > 0);
    }
    struct kn_key *key;
    bool cached;
    assert_int_equal(find(&f, KN_STR(""), &key, &cached), -ENOENT);
    teardown(&f);
}

static int count_one(void *ctx, const struct kn_key *key, int64_t created_ms)
{
    int *count = ctx;
    assert_true(key->secret.len > 0);
    assert_int_equal(created_ms, 5);
    return ++*count == 2 ? -ECANCELED : 0;
}

TEST(a_list_names_every_key_until_it_is_stopped)
{
    struct fixture f;
    setup(&f);
    for (int i = 0; i < 3; i++)
        storage_credential_free(create(&f, &(struct storage_credential_new){.created_ms = 5}));
    int count = 0;
    assert_int_equal(storage_credential_list(f.meta, count_one, &count), -ECANCELED);
    count = 10;
    assert_ok(storage_credential_list(f.meta, count_one, &count));
    assert_int_equal(count, 13);
    teardown(&f);
}

TEST(many_keys_are_cached_side_by_side)
{
    struct fixture f;
    setup(&f);
    char id[16];
    bool cached;
    struct kn_key *key = NULL;
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof id, "key_%02d", (i * 37) % 50);
        struct storage_credential_new what = {.id = kn_str_from(id), .secret = kn_str_from(id)};
        storage_credential_free(create(&f, &what));
    }
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 50; i++) {
            snprintf(id, sizeof id, "key_%02d", i);
            assert_ok(find(&f, kn_str_from(id), &key, &cached));
            assert_int_equal(cached, pass == 1);
            assert_str_is(key->secret, id);
            f.ring->unref(f.ring, key);
        }
    }
    teardown(&f);
}

static struct kn_key *issue(struct fixture *f, const char *thing, int64_t now_ms)
{
    struct kn_key *key = NULL;
    assert_ok(storage_keyring_issue(f->cache,
                                    &(struct storage_issue){.role = KN_STR("role"),
                                                            .thing = kn_str_from(thing),
                                                            .now_ms = now_ms,
                                                            .lasts_ms = 1000},
                                    &key));
    return key;
}

static void make_role(struct fixture *f)
{
    struct kn_key_grant grants[] = {
        {KN_STR("kinesisvideo:PutMedia"), KN_STR(STORAGE_THING_VARIABLE)          },
        {KN_STR("kinesisvideo:Get*"),     KN_STR("x-" STORAGE_THING_VARIABLE "-*")}
    };
    struct storage_credential_new what = {.grants = grants,
                                          .grant_count = 2,
                                          .id = KN_STR("role"),
                                          .secret = KN_STR("secret"),
                                          .expires_ms = 5000};
    storage_credential_free(create(f, &what));
}

TEST(an_issued_key_is_found_by_its_token_also_after_a_restart)
{
    struct fixture f;
    setup(&f);
    make_role(&f);
    struct kn_key *made = issue(&f, "yard", 7), *found = NULL;
    storage_keyring_free(f.cache);
    assert_ok(storage_keyring_new(f.meta, &f.cache));
    f.ring = storage_keyring_base(f.cache);

    assert_int_equal(f.ring->find_issued(f.ring, made->id, made->session_token, false, &found),
                     -EAGAIN);
    assert_ok(f.ring->find_issued(f.ring, made->id, made->session_token, true, &found));
    assert_true(kn_str_eq(found->id, made->id));
    assert_true(kn_str_eq(found->secret, made->secret));
    assert_str_is(found->issuer, "role");
    assert_int_equal(found->expires_ms, 1007);
    assert_int_equal(found->grant_count, 2);
    assert_str_is(found->grants[0].stream, "yard");
    assert_str_is(found->grants[1].stream, "x-yard-*");
    f.ring->unref(f.ring, found);
    assert_ok(f.ring->find_issued(f.ring, made->id, made->session_token, false, &found));
    f.ring->unref(f.ring, found);
    storage_credential_free(made);
    teardown(&f);
}

TEST(a_token_that_was_altered_or_belongs_to_another_key_finds_nothing)
{
    struct fixture f;
    setup(&f);
    make_role(&f);
    struct kn_key *one = issue(&f, "yard", 0), *two = issue(&f, "yard", 0), *found = NULL;
    char token[512];

    assert_int_equal(f.ring->find_issued(f.ring, one->id, two->session_token, true, &found),
                     -ENOENT);
    for (size_t i = 0; i < one->session_token.len; i++) {
        assert_ok(kn_str_copy(token, sizeof token, one->session_token));
        token[i] = (char) (token[i] == 'A' ? 'B' : 'A');
        struct kn_str text = {token, one->session_token.len};
        assert_int_equal(f.ring->find_issued(f.ring, one->id, text, true, &found), -ENOENT);
        text.len = i;
        assert_int_equal(f.ring->find_issued(f.ring, one->id, text, true, &found), -ENOENT);
    }
    storage_credential_free(one);
    storage_credential_free(two);
    teardown(&f);
}

TEST(a_key_is_issued_only_of_a_role_that_lasts_and_to_a_proper_name)
{
    struct fixture f;
    setup(&f);
    struct storage_issue what = {.role = KN_STR("role"), .thing = KN_STR("yard"), .lasts_ms = 9000};
    struct kn_key *key = NULL;
    assert_int_equal(storage_keyring_issue(f.cache, &what, &key), -ENOENT);
    make_role(&f);

    /* A key whose streams do not name the thing was never meant for devices: least of all this. */
    struct storage_credential_new administrator = {.id = KN_STR("admin"), .secret = KN_STR("s")};
    storage_credential_free(create(&f, &administrator));
    what.role = KN_STR("admin");
    assert_int_equal(storage_keyring_issue(f.cache, &what, &key), -ENOENT);
    what.role = KN_STR("role");

    assert_ok(storage_keyring_issue(f.cache, &what, &key));
    assert_int_equal(key->expires_ms, 5000); /* as the role */
    storage_credential_free(key);
    what.now_ms = 5000;
    assert_int_equal(storage_keyring_issue(f.cache, &what, &key), -EACCES);
    what.now_ms = 0;
    static const char *const bad[] = {"", "*", "a*", "a b", "a.b", "ä"};
    for (size_t i = 0; i < KN_ARRAY_LEN(bad); i++) {
        what.thing = kn_str_from(bad[i]);
        assert_int_equal(storage_keyring_issue(f.cache, &what, &key), -EINVAL);
    }
    teardown(&f);
}

TESTS_MAIN(TEST_OF(a_key_made_without_grants_is_an_administrator_with_a_random_secret),
           TEST_OF(a_key_keeps_its_grants_expiry_and_session_token),
           TEST_OF(the_cache_answers_without_waiting_until_the_catalogue_changes),
           TEST_OF(a_revoked_key_is_unknown_from_the_next_question_on),
           TEST_OF(a_second_key_of_one_id_and_bad_forms_are_refused),
           TEST_OF(a_list_names_every_key_until_it_is_stopped),
           TEST_OF(many_keys_are_cached_side_by_side),
           TEST_OF(an_issued_key_is_found_by_its_token_also_after_a_restart),
           TEST_OF(a_token_that_was_altered_or_belongs_to_another_key_finds_nothing),
           TEST_OF(a_key_is_issued_only_of_a_role_that_lasts_and_to_a_proper_name))
