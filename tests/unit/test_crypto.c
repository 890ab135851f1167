/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <errno.h>

#include "core/crypto.h"

/* Every length at which the padding changes its form. */
TEST(md5_of_any_length)
{
    static const struct {
        size_t len;
        const char *hex;
    } rows[] = {
        {0,    "d41d8cd98f00b204e9800998ecf8427e"},
        {1,    "55a54008ad1ba589aa210d2629c1df41"},
        {3,    "c9aee4810523ef8658121b8d492c6b41"},
        {55,   "f1289732253518750e22b62a571a1748"},
        {56,   "179e3b9fa272a23e2a8b32bde1015414"},
        {57,   "d5f0a59aa9d6d8164d3754fb91f67809"},
        {63,   "dd785945d1d6b87eca0d276dbb8756fd"},
        {64,   "e3ab394ce4eb7da020a27d2e2443143c"},
        {65,   "28a6b0f918d9aea03e979a1657d8d0f6"},
        {119,  "d49720530a386a3191eac0dc840dd1bd"},
        {120,  "8a440004b569286a42c722295ce1c5a6"},
        {128,  "52cc29caecfd9380a2261a80c58e6787"},
        {1000, "c3b2968d34e038455d14c8827156e193"},
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(rows); i++) {
        uint8_t in[1000], digest[KN_MD5_BYTES];
        char hex[2 * KN_MD5_BYTES + 1];
        for (size_t k = 0; k < rows[i].len; k++)
            in[k] = (uint8_t) (k * 7 + rows[i].len);
        kn_md5((struct kn_bytes){in, rows[i].len}, digest);
        kn_hex_encode((struct kn_bytes){digest, sizeof digest}, hex);
        assert_string_equal(hex, rows[i].hex);
    }
    uint8_t digest[KN_MD5_BYTES];
    char hex[2 * KN_MD5_BYTES + 1];
    kn_md5(kn_bytes_of(KN_STR("message digest")), digest);
    kn_hex_encode((struct kn_bytes){digest, sizeof digest}, hex);
    assert_string_equal(hex, "f96b697d7cb7938d525a2f31aaf161d0"); /* RFC 1321, A.5 */
}

TEST(digests_agree_with_published_vectors)
{
    uint8_t digest[KN_SHA256_BYTES];
    char hex[KN_SHA256_HEX_BYTES];

    kn_sha256(kn_bytes_of(KN_STR("abc")), digest); /* FIPS 180-4 */
    kn_hex_encode((struct kn_bytes){digest, sizeof digest}, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    kn_hmac_sha256(kn_bytes_of(KN_STR("Jefe")), /* RFC 4231, case 2 */
                   kn_bytes_of(KN_STR("what do ya want for nothing?")), digest);
    kn_hex_encode((struct kn_bytes){digest, sizeof digest}, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    uint8_t key[131];
    memset(key, 0xaa, sizeof key); /* RFC 4231, case 6: a key longer than a block */
    kn_hmac_sha256((struct kn_bytes){key, sizeof key},
                   kn_bytes_of(KN_STR("Test Using Larger Than Block-Size Key - Hash Key First")),
                   digest);
    kn_hex_encode((struct kn_bytes){digest, sizeof digest}, hex);
    assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(crc32c_agrees_with_its_vectors_at_every_length)
{
    uint8_t bytes[9000];
    uint64_t state = 88172645463325252u;

    assert_int_equal(kn_crc32c(0, kn_bytes_of(KN_STR("123456789"))), 0xE3069283);
    memset(bytes, 0, 32);
    assert_int_equal(kn_crc32c(0, (struct kn_bytes){bytes, 32}), 0x8A9136AA); /* RFC 3720 B.4 */
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) test_random(&state);
    for (size_t len = 0; len < sizeof bytes; len += 617) {
        uint32_t whole = kn_crc32c(7, (struct kn_bytes){bytes, len});
        uint32_t parts = 7;

        for (size_t i = 0; i < len; i++)
            parts = kn_crc32c(parts, (struct kn_bytes){bytes + i, 1});
        assert_int_equal(whole, parts);
    }
}

TEST(base64_has_one_spelling)
{
    struct kn_buf b;

    kn_buf_init(&b, 100);
    assert_ok(kn_base64_encode((struct kn_bytes){(const uint8_t *) "\xfb\xff", 2}, false, &b));
    assert_str_is(kn_buf_str(&b), "+/8=");
    kn_buf_clear(&b);
    assert_ok(kn_base64_encode((struct kn_bytes){(const uint8_t *) "\xfb\xff", 2}, true, &b));
    assert_str_is(kn_buf_str(&b), "-_8~");
    kn_buf_clear(&b);
    assert_ok(kn_base64_decode(KN_STR("-_8~"), true, &b));
    assert_int_equal(b.len, 2);
    assert_int_equal(kn_base64_decode(KN_STR("+/9="), false, &b), -EINVAL);
    assert_int_equal(kn_base64_decode(KN_STR("+/8"), false, &b), -EINVAL);
    assert_int_equal(kn_base64_decode(KN_STR("===="), false, &b), -EINVAL);
    assert_int_equal(kn_base64_decode(KN_STR("+/8=AAAA"), false, &b), -EINVAL);
    kn_buf_done(&b);
}

TEST(names_do_not_repeat)
{
    uint8_t names[1000][16];

    for (size_t i = 0; i < KN_ARRAY_LEN(names); i++) {
        kn_random_name(names[i], sizeof names[i]);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(names[i], names[k], sizeof names[i]);
    }
}

TEST(crc32_agrees_with_its_vectors_at_every_length)
{
    uint8_t bytes[700]; /* long ones go another way */
    uint64_t state = test_seed();

    assert_int_equal(kn_crc32(0, kn_bytes_of(KN_STR("123456789"))), 0xCBF43926);
    assert_int_equal(kn_crc32(0, (struct kn_bytes){NULL, 0}), 0);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) test_random(&state);
    for (size_t len = 0; len < sizeof bytes; len++) {
        uint32_t parts = 7;
        for (size_t i = 0; i < len; i++)
            parts = kn_crc32(parts, (struct kn_bytes){bytes + i, 1});
        assert_int_equal(kn_crc32(7, (struct kn_bytes){bytes, len}), parts);
    }
}

/* The plain definition, one bit group at a time. */
static size_t spell(const uint8_t *in, size_t len, char *dst)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t out = 0;
    for (size_t bit = 0; bit < len * 8; bit += 6) {
        unsigned v = 0;
        for (size_t i = bit; i < bit + 6; i++)
            v = v << 1 | (i < len * 8 ? (unsigned) in[i / 8] >> (7 - i % 8) & 1u : 0);
        dst[out++] = digits[v];
    }
    while (out % 4)
        dst[out++] = '=';
    return out;
}

TEST(base64_is_right_at_every_length)
{
    uint8_t bytes[200], back[200];
    char want[272], got[272];
    uint64_t state = test_seed();

    for (size_t len = 0; len <= sizeof bytes; len++) {
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t) test_random(&state);
        size_t text = spell(bytes, len, want), plain = 0;
        assert_int_equal(kn_base64_text_len(len), text);
        memset(got, '!', sizeof got);
        kn_base64_write((struct kn_bytes){bytes, len}, got);
        assert_memory_equal(got, want, text);
        assert_true(text == sizeof got || got[text] == '!');
        assert_ok(kn_base64_plain_len((struct kn_str){want, text}, &plain));
        assert_int_equal(plain, len);
        memset(back, 0xA5, sizeof back);
        assert_ok(kn_base64_read((struct kn_str){want, text}, back));
        assert_memory_equal(back, bytes, len);
        assert_true(len == sizeof back || back[len] == 0xA5); /* not one byte more */
    }
}

TEST(base64_refuses_every_foreign_character_at_every_place)
{
    char text[64];
    uint8_t back[48];

    for (size_t at = 0; at < sizeof text; at++) {
        for (unsigned c = 0; c < 256; c++) {
            memset(text, 'A', sizeof text);
            text[at] = (char) c;
            bool digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                         (c >= '0' && c <= '9') || c == '+' || c == '/' ||
                         (c == '=' && at == sizeof text - 1);
            int error = kn_base64_read((struct kn_str){text, sizeof text}, back);
            if (error != (digit ? 0 : -EINVAL))
                fail_msg("character %u at %zu: %d", c, at, error);
        }
    }
}

TEST(what_is_sealed_opens_only_unchanged)
{
    uint8_t key[KN_AEAD_KEY_BYTES] = {1, 2, 3};
    struct kn_buf sealed, opened;

    kn_buf_init(&sealed, 1000);
    kn_buf_init(&opened, 1000);
    assert_ok(
        kn_aead_seal(key, kn_bytes_of(KN_STR("secret")), kn_bytes_of(KN_STR("aad")), &sealed));
    assert_int_equal(sealed.len, 6 + KN_AEAD_OVERHEAD);
    assert_ok(kn_aead_open(key, kn_buf_bytes(&sealed), kn_bytes_of(KN_STR("aad")), &opened));
    assert_str_is(kn_buf_str(&opened), "secret");
    assert_int_equal(kn_aead_open(key, kn_buf_bytes(&sealed), kn_bytes_of(KN_STR("axd")), &opened),
                     -EBADMSG);
    for (size_t i = 0; i < sealed.len; i++) {
        sealed.ptr[i] ^= 1;
        assert_int_equal(
            kn_aead_open(key, kn_buf_bytes(&sealed), kn_bytes_of(KN_STR("aad")), &opened),
            -EBADMSG);
        sealed.ptr[i] ^= 1;
    }
    kn_buf_done(&sealed);
    kn_buf_done(&opened);
}

TESTS_MAIN(TEST_OF(md5_of_any_length), TEST_OF(digests_agree_with_published_vectors),
           TEST_OF(crc32c_agrees_with_its_vectors_at_every_length),
           TEST_OF(base64_has_one_spelling), TEST_OF(names_do_not_repeat),
           TEST_OF(base64_is_right_at_every_length),
           TEST_OF(base64_refuses_every_foreign_character_at_every_place),
           TEST_OF(crc32_agrees_with_its_vectors_at_every_length),
           TEST_OF(what_is_sealed_opens_only_unchanged))
