/* SPDX-License-Identifier: Apache-2.0 */
/* Elements, header and tags in words, and the writers. */
#include "mkv_make.h"
#include "test.h"

TEST(the_header_of_a_capture_reads_as_mkvinfo_says)
{
    struct kn_buf b;
    kn_buf_init(&b, MIB(2));
    assert_true(make_from_capture(&b, "sink360_h264_aac_abs.mkv"));
    struct kn_mkv_header h;
    struct kn_err err;

    assert_ok(kn_mkv_header_parse((struct kn_bytes){b.ptr, 341}, &h, &err));

    assert_int_equal(h.timestamp_scale_ns, 1000000);
    assert_str_is(h.doc_type, "matroska");
    assert_int_equal(h.track_count, 2);
    assert_int_equal(h.tracks[0].number, 1);
    assert_int_equal(h.tracks[0].type, KN_MKV_VIDEO);
    assert_string_equal(h.tracks[0].codec_id, "V_MPEG4/ISO/AVC");
    assert_int_equal(h.tracks[0].pixel_width, 640);
    assert_int_equal(h.tracks[0].pixel_height, 360);
    assert_int_equal(h.tracks[0].codec_private.len, 45);
    assert_int_equal(h.tracks[1].type, KN_MKV_AUDIO);
    assert_string_equal(h.tracks[1].codec_id, "A_AAC");
    assert_true(h.tracks[1].sampling_hz == 44100);
    assert_int_equal(h.tracks[1].channels, 2);
    assert_int_equal(h.tracks[1].codec_private.len, 5);
    kn_buf_done(&b);
}

TEST(what_is_written_reads_back)
{
    struct kn_buf b;
    kn_buf_init(&b, MIB(1));
    make_header(&b, 2, 1, 10000000);
    struct kn_mkv_header h;
    struct kn_err err;

    assert_ok(kn_mkv_header_parse(kn_buf_bytes(&b), &h, &err));

    assert_int_equal(h.timestamp_scale_ns, 10000000);
    assert_int_equal(h.track_count, 3);
    assert_string_equal(h.tracks[2].codec_id, "A_AAC");
    assert_true(h.tracks[2].sampling_hz == 48000);
    kn_buf_done(&b);
}

TEST(a_header_cut_anywhere_is_refused_without_overrun)
{
    struct kn_buf b;
    kn_buf_init(&b, MIB(1));
    make_header(&b, 1, 1, 1000000);
    for (size_t len = 0; len < b.len; len++) {
        uint8_t *copy = malloc(len ? len : 1); /* so that the sanitizer sees a step too far */
        assert_non_null(copy);
        memcpy(copy, b.ptr, len);
        struct kn_mkv_header h;
        struct kn_err err;
        assert_true(kn_mkv_header_parse((struct kn_bytes){copy, len}, &h, &err) < 0);
        free(copy);
    }
    kn_buf_done(&b);
}

TEST(headers_beyond_the_rules_are_refused_with_a_name)
{
    struct kn_buf b;
    kn_buf_init(&b, MIB(4));
    struct kn_mkv_header h;
    struct kn_err err;

    make_header(&b, 8, 0, 1000000);
    assert_ok(kn_mkv_header_parse(kn_buf_bytes(&b), &h, &err));
    uint8_t *number = memmem(b.ptr, b.len, "\xd7\x81\x02", 3);
    assert_non_null(number);
    number[2] = 1;
    assert_int_equal(kn_mkv_header_parse(kn_buf_bytes(&b), &h, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "used twice"));

    kn_buf_clear(&b);
    make_header(&b, 1, 0, 1000000);
    uint8_t *type = memmem(b.ptr, b.len, "matroska", 8);
    assert_non_null(type);
    type[0] = 'M';
    assert_int_equal(kn_mkv_header_parse(kn_buf_bytes(&b), &h, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "DocType"));

    kn_buf_clear(&b);
    make_header(&b, 0, 0, 1000000);
    assert_int_equal(kn_mkv_header_parse(kn_buf_bytes(&b), &h, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "track"));

    kn_buf_clear(&b);
    make_header(&b, 1, 0, 2000000000);
    assert_int_equal(kn_mkv_header_parse(kn_buf_bytes(&b), &h, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "TimestampScale"));
    kn_buf_done(&b);
}

static int read_element(const char *bytes, size_t len, struct kn_mkv_element *el)
{
    return kn_mkv_element_read((struct kn_bytes){(const uint8_t *) bytes, len}, el);
}

TEST(element_heads_are_read_strictly)
{
    struct kn_mkv_element el;
    assert_ok(read_element("\x1f\x43\xb6\x75\xff", 5, &el));
    assert_int_equal(el.id, KN_MKV_CLUSTER);
    assert_true(el.size == UINT64_MAX);
    assert_int_equal(el.head_bytes, 5);
    assert_ok(read_element("\xa3\x01\0\0\0\0\0\x01\x02", 9, &el));
    assert_int_equal(el.size, 258);
    assert_int_equal(el.head_bytes, 9);

    assert_int_equal(read_element("\x1f\x43\xb6", 3, &el), -ENODATA);
    assert_int_equal(read_element("\xa3\x01\0\0", 4, &el), -ENODATA);
    assert_int_equal(read_element("", 0, &el), -ENODATA);
    assert_int_equal(read_element("\x08\0\0\0\0\x80", 6, &el), -EBADMSG); /* 5-byte id */
    assert_int_equal(read_element("\xa3\0", 2, &el), -EBADMSG);           /* 9-byte size */
    assert_int_equal(read_element("\xff\x80", 2, &el), -EBADMSG);         /* reserved id */
    assert_int_equal(read_element("\x80\x80", 2, &el), -EBADMSG);
    assert_int_equal(read_element("\x40\x6c\x80", 3, &el), -EBADMSG); /* Void, a byte too long */
}

TEST(sizes_are_written_in_the_shortest_or_the_wanted_form)
{
    struct kn_buf b;
    kn_buf_init(&b, 4096);
    static const struct {
        uint64_t size;
        unsigned bytes;
    } cases[] = {
        {0,                  1},
        {126,                1},
        {127,                2},
        {16382,              2},
        {16383,              3},
        {(uint64_t) 1 << 55, 8}
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(cases); i++) {
        kn_buf_clear(&b);
        kn_mkv_write_id(&b, KN_MKV_VOID);
        kn_mkv_write_size(&b, cases[i].size, 0);
        struct kn_mkv_element el;
        assert_ok(kn_mkv_element_read(kn_buf_bytes(&b), &el));
        assert_int_equal(el.size, cases[i].size);
        assert_int_equal(el.head_bytes, 1 + cases[i].bytes);
    }
    kn_buf_clear(&b);
    kn_mkv_write_size_unknown(&b, 8);
    assert_memory_equal(b.ptr, "\x01\xff\xff\xff\xff\xff\xff\xff", 8);
    kn_buf_done(&b);
}

TEST(a_void_spans_exactly_what_was_asked)
{
    for (uint64_t total = 2; total < 70000; total += total < 300 ? 1 : 997) {
        struct kn_buf b;
        kn_buf_init(&b, 64);
        kn_mkv_write_void_header(&b, total);
        struct kn_mkv_element el;
        assert_ok(kn_mkv_element_read(kn_buf_bytes(&b), &el));
        assert_int_equal(el.id, KN_MKV_VOID);
        assert_int_equal(el.head_bytes + el.size, total);
        kn_buf_done(&b);
    }
}

TEST(tags_are_listed_with_names_and_values)
{
    struct kn_buf inner, tags;
    kn_buf_init(&inner, 4096);
    kn_buf_init(&tags, 4096);
    kn_mkv_write_simple_tag(&inner, KN_STR("a"), KN_STR("1"));
    kn_mkv_write_simple_tag(&inner, KN_STR("AWS_KINESISVIDEO_END_OF_FRAGMENT"), KN_STR(""));
    struct kn_buf tag;
    kn_buf_init(&tag, 4096);
    make_element(&tag, KN_MKV_TAG, &inner);
    make_element(&tags, KN_MKV_TAGS, &tag);
    struct kn_mkv_tag items[1];
    struct kn_mkv_tags list = {.items = items, .cap = 1};

    assert_ok(kn_mkv_tags_parse(kn_buf_bytes(&tags), &list, NULL));

    assert_int_equal(list.count, 2); /* counted, though there is room for one */
    assert_str_is(items[0].name, "a");
    assert_str_is(items[0].value, "1");
    assert_false(list.targeted);

    kn_buf_clear(&tags);
    make_tags(&tags, "DURATION", "1", true);
    assert_ok(kn_mkv_tags_parse(kn_buf_bytes(&tags), &list, NULL));
    assert_true(list.targeted);
    kn_buf_done(&inner);
    kn_buf_done(&tag);
    kn_buf_done(&tags);
}

TEST(a_simple_tag_has_size_fields_of_four_bytes)
{
    struct kn_buf b;
    kn_buf_init(&b, 256);

    kn_mkv_write_simple_tag(&b, KN_STR("n"), KN_STR("v"));

    assert_memory_equal(b.ptr,
                        "\x67\xc8\x10\0\0\x0e"
                        "\x45\xa3\x10\0\0\x01n"
                        "\x44\x87\x10\0\0\x01v",
                        20);
    assert_int_equal(b.len, 20);
    kn_buf_done(&b);
}

TESTS_MAIN(TEST_OF(the_header_of_a_capture_reads_as_mkvinfo_says),
           TEST_OF(what_is_written_reads_back),
           TEST_OF(a_header_cut_anywhere_is_refused_without_overrun),
           TEST_OF(headers_beyond_the_rules_are_refused_with_a_name),
           TEST_OF(element_heads_are_read_strictly),
           TEST_OF(sizes_are_written_in_the_shortest_or_the_wanted_form),
           TEST_OF(a_void_spans_exactly_what_was_asked),
           TEST_OF(tags_are_listed_with_names_and_values),
           TEST_OF(a_simple_tag_has_size_fields_of_four_bytes))
