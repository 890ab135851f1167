/* SPDX-License-Identifier: Apache-2.0 */
/* The incremental parser: any split of any stream gives the same events, and nothing is believed.
 */
#include "mkv_make.h"
#include "test.h"

/* What a run over one stream said, in a form two runs can be compared by. */
struct trace {
    struct kn_buf lines; /* a line an event; neighbouring DATA joined */
    struct kn_buf raw;   /* all raw, in order of coming */
    unsigned clusters, blocks, tags, headers;
    int result;
    struct kn_err err;
};

static void trace_init(struct trace *t)
{
    *t = (struct trace){.result = 0};
    kn_buf_init(&t->lines, MIB(64));
    kn_buf_init(&t->raw, MIB(64));
}

static void trace_done(struct trace *t)
{
    kn_buf_done(&t->lines);
    kn_buf_done(&t->raw);
}

static void trace_event(struct trace *t, const struct kn_mkv_event *ev)
{
    kn_buf_append(&t->raw, ev->raw.ptr, ev->raw.len);
    if (ev->kind == KN_MKV_EVENT_MORE || ev->kind == KN_MKV_EVENT_DATA)
        return;
    t->clusters += ev->kind == KN_MKV_EVENT_CLUSTER;
    t->blocks += ev->kind == KN_MKV_EVENT_BLOCK;
    t->tags += ev->kind == KN_MKV_EVENT_TAGS;
    t->headers += ev->kind == KN_MKV_EVENT_HEADER;
    kn_buf_printf(&t->lines, "%d id=%x at=%llu raw=%zu..%zu size=%llu value=%llu in=%d",
                  (int) ev->kind, (unsigned) ev->id, (unsigned long long) ev->offset, ev->raw.len,
                  t->raw.len, (unsigned long long) ev->size, (unsigned long long) ev->value,
                  ev->in_cluster);
    if (ev->kind == KN_MKV_EVENT_BLOCK || ev->kind == KN_MKV_EVENT_GROUP_END)
        kn_buf_printf(&t->lines, " track=%llu time=%d key=%d laces=%u frame=%llu",
                      (unsigned long long) ev->block.track, ev->block.time, ev->block.key,
                      ev->block.lace_count, (unsigned long long) ev->block.frame_bytes);
    for (unsigned i = 0; ev->kind == KN_MKV_EVENT_BLOCK && i < ev->block.lace_count; i++)
        kn_buf_printf(&t->lines, " %u", ev->block.lace_bytes[i]);
    kn_buf_append_text(&t->lines, "\n");
}

/* step: bytes at a time; 0: pieces of random length, now and then with a part of DATA put back. */
static void run(struct trace *t, struct kn_bytes in, size_t step, uint64_t *seed)
{
    trace_init(t);
    struct kn_mkv_parser *p;
    assert_ok(kn_mkv_parser_new(&p));
    struct kn_mkv_event ev;
    while (in.len && t->result == 0) {
        size_t want = step ? step : 1 + test_random(seed) % (test_random(seed) % 9 ? 900 : 70000);
        struct kn_bytes piece = {in.ptr, (size_t) kn_min_u64(want, in.len)};
        do {
            size_t taken = 0;
            t->result = kn_mkv_parser_next(p, piece, &taken, &ev, &t->err);
            if (t->result < 0)
                break;
            if (!step && ev.kind == KN_MKV_EVENT_DATA && test_random(seed) % 4 == 0) {
                size_t back = test_random(seed) % (ev.raw.len + 1);
                kn_mkv_parser_put_back(p, back);
                ev.raw.len -= back;
                taken -= back;
            }
            trace_event(t, &ev);
            piece.ptr += taken, piece.len -= taken;
            in.ptr += taken, in.len -= taken;
        } while (ev.kind != KN_MKV_EVENT_MORE);
    }
    while (t->result == 0) {
        t->result = kn_mkv_parser_finish(p, &ev, &t->err);
        if (t->result == 0)
            trace_event(t, &ev);
        if (t->result == 0 && ev.kind == KN_MKV_EVENT_END)
            break;
    }
    kn_mkv_parser_free(p);
}

static void assert_same(const struct trace *a, const struct trace *b)
{
    assert_int_equal(a->result, b->result);
    assert_string_equal(a->err.text, b->err.text);
    assert_int_equal(a->lines.len, b->lines.len);
    assert_memory_equal(a->lines.ptr, b->lines.ptr, a->lines.len);
    assert_int_equal(a->raw.len, b->raw.len);
    if (a->raw.len)
        assert_memory_equal(a->raw.ptr, b->raw.ptr, a->raw.len);
}

/* Runs whole, split at random, and a byte at a time; all must agree. Leaves the whole run in *t. */
static void run_all(struct trace *t, struct kn_bytes in, bool bytewise)
{
    uint64_t seed = test_seed();
    struct trace other;
    run(t, in, in.len ? in.len : 1, NULL);
    for (int i = 0; i < 3; i++) {
        run(&other, in, 0, &seed);
        assert_same(t, &other);
        trace_done(&other);
    }
    if (bytewise) {
        run(&other, in, 1, NULL);
        assert_same(t, &other);
        trace_done(&other);
    }
}

TEST(every_capture_gives_the_same_events_at_any_split)
{
    static const struct {
        const char *name;
        unsigned clusters, blocks, tags; /* counted by mkvinfo 74 */
    } captures[] = {
        {"c164_err5000_session1_cut.mkv",              4,  136,  3 },
        {"c164_err5000_session2_resend.mkv",           6,  251,  6 },
        {"c164_h264_aac_abs_tc0.mkv",                  5,  587,  1 },
        {"c164_h264_abs_eofr_meta.mkv",                5,  188,  50},
        {"c164_h265_abs_eofr_meta.mkv",                5,  194,  50},
        {"c164_persistmeta_1_cut.mkv",                 3,  91,   6 },
        {"c164_persistmeta_2_tags_before_cluster.mkv", 3,  128,  9 },
        {"sink360_h264_aac_abs.mkv",                   4,  543,  1 },
        {"sink360_h264_abs.mkv",                       4,  200,  1 },
        {"sink360_h264_rel.mkv",                       4,  200,  1 },
        {"sink360_h264_scale10ms.mkv",                 3,  120,  1 },
        {"sink360_rollover_session1.mkv",              37, 1850, 1 },
        {"sink360_rollover_session2.mkv",              13, 650,  1 },
    };
    for (size_t i = 0; i < KN_ARRAY_LEN(captures); i++) {
        struct kn_buf file;
        kn_buf_init(&file, MIB(16));
        if (!make_from_capture(&file, captures[i].name)) {
            print_message("KINEMA_SHARED does not point at the captures\n");
            fail();
        }
        struct trace t;
        run_all(&t, kn_buf_bytes(&file), file.len < 600000);

        assert_ok(t.result);
        assert_int_equal(t.clusters, captures[i].clusters);
        assert_int_equal(t.blocks, captures[i].blocks);
        assert_int_equal(t.tags, captures[i].tags);
        assert_int_equal(t.headers, 1);
        assert_int_equal(t.raw.len, file.len);
        if (!strstr(captures[i].name, "tags_before"))
            assert_memory_equal(t.raw.ptr, file.ptr, t.raw.len);
        trace_done(&t);
        kn_buf_done(&file);
    }
}

TEST(tags_without_targets_before_the_first_cluster_leave_the_header)
{
    struct kn_buf b, want;
    kn_buf_init(&b, MIB(1));
    kn_buf_init(&want, MIB(1));
    make_header(&b, 1, 0, 1000000);
    make_tags(&b, "TITLE", "of the file", true);
    kn_buf_append(&want, b.ptr, b.len);
    make_tags(&b, "key", "value", false);
    make_cluster(&b, 7);

    struct trace t;
    run_all(&t, kn_buf_bytes(&b), true);

    assert_ok(t.result);
    assert_int_equal(t.tags, 1);
    /* TAGS came first, then HEADER: EBML to the Tags with Targets */
    size_t tags_len = b.len - want.len - 15; /* 12 bytes of Cluster head, 3 of Timestamp */
    assert_memory_equal(t.raw.ptr + tags_len, want.ptr, want.len);
    trace_done(&t);
    kn_buf_done(&b);
    kn_buf_done(&want);
}

TEST(a_stream_cut_inside_an_element_says_so)
{
    struct kn_buf b;
    kn_buf_init(&b, MIB(1));
    make_header(&b, 1, 0, 1000000);
    make_cluster(&b, 9);
    size_t block_at = b.len;
    make_block(&b, 1, 0, true, 50, 'x');
    for (size_t len = block_at; len <= b.len; len++) {
        struct trace t;
        run(&t, (struct kn_bytes){b.ptr, len}, len, NULL);
        assert_int_equal(t.result, len == block_at || len == b.len ? 0 : -ENODATA);
        trace_done(&t);
    }
    kn_buf_done(&b);
}

TEST(an_empty_body_is_legal)
{
    struct trace t;
    run_all(&t, (struct kn_bytes){(const uint8_t *) "", 0}, true);

    assert_ok(t.result);
    assert_int_equal(t.clusters, 0);
    trace_done(&t);
}

TEST(block_groups_tell_keys_and_durations)
{
    struct kn_buf b;
    kn_buf_init(&b, MIB(1));
    make_header(&b, 1, 0, 1000000);
    make_cluster(&b, 0);
    make_group(&b, 1, 0, 40, false, 100, 'k');
    make_group(&b, 1, -40, 0, true, 50, 'p');

    struct trace t;
    run_all(&t, kn_buf_bytes(&b), true);

    assert_ok(t.result);
    assert_int_equal(t.blocks, 2);
    const char *text = (const char *) t.lines.ptr;
    kn_buf_append_byte(&t.lines, 0);
    text = (const char *) t.lines.ptr;
    assert_non_null(strstr(text, "value=40"));
    assert_non_null(strstr(text, "time=-40"));
    assert_non_null(strstr(text, "key=1"));
    trace_done(&t);
    kn_buf_done(&b);
}

static void block_with(struct kn_buf *b, const char *payload, size_t len)
{
    make_header(b, 1, 0, 1000000);
    make_cluster(b, 0);
    kn_mkv_write_bytes(b, KN_MKV_SIMPLE_BLOCK, (struct kn_bytes){(const uint8_t *) payload, len});
}
#define BLOCK_WITH(b, literal) block_with(b, literal, sizeof(literal) - 1)

static void assert_laces(const char *payload, size_t len, const char *want)
{
    struct kn_buf b;
    kn_buf_init(&b, MIB(1));
    block_with(&b, payload, len);
    struct trace t;
    run_all(&t, kn_buf_bytes(&b), true);
    kn_buf_append_byte(&t.lines, 0);
    if (want) {
        assert_ok(t.result);
        assert_non_null(strstr((const char *) t.lines.ptr, want));
    } else {
        assert_int_equal(t.result, -EBADMSG);
    }
    trace_done(&t);
    kn_buf_done(&b);
}
#define LACES(literal, want) assert_laces(literal, sizeof(literal) - 1, want)

TEST(lacing_of_each_kind_is_taken_apart)
{
    LACES("\x81\0\0\x02\x02\x01\x02"
          "abbccc",
          "laces=3 frame=6 1 2 3\n");
    LACES("\x81\0\0\x04\x02"
          "aabbcc",
          "laces=3 frame=6 2 2 2\n");
    LACES("\x81\0\0\x06\x02\x82\xbe"
          "aabccc",
          "laces=3 frame=6 2 1 3\n"); /* 0xbe: 62 - 63 = -1 */
    LACES("\x81\0\0\x06\x00"
          "abc",
          "laces=1 frame=3 3\n");
}

TEST(lacing_that_makes_no_sense_is_refused)
{
    LACES("\x81\0\0\x04\x02"
          "aabbc",
          NULL);                     /* not divisible */
    LACES("\x81\0\0\x04\xff", NULL); /* 256 empty frames */
    LACES("\x81\0\0\x02\x02\x01\x05"
          "abbcc",
          NULL);                             /* sizes above the payload */
    LACES("\x81\0\0\x06\x02\x81\x80", NULL); /* negative size */
    LACES("\x81\0\0\x06\x02\x00", NULL);     /* 9-octet integer */
    LACES("\x81\0\0\x02\x05\x01", NULL);     /* the block ends inside the sizes */
    LACES("\x81\0\0\x02\x01\x00"
          "x",
          NULL); /* an empty frame */
}

/* A stream that must fail, why, and what the text must name. */
static void assert_bad(const struct kn_buf *b, int code, const char *names)
{
    struct trace t;
    run_all(&t, kn_buf_bytes(b), true);
    if (t.result != code || !strstr(t.err.text, names))
        print_message("result %d: %s (wanted %d, %s)\n", t.result, t.err.text, code, names);
    assert_int_equal(t.result, code);
    assert_non_null(strstr(t.err.text, names));
    assert_non_null(strstr(t.err.text, "byte "));
    trace_done(&t);
}

static void start(struct kn_buf *b)
{
    kn_buf_clear(b);
    make_header(b, 1, 0, 1000000);
}

TEST(each_malformed_shape_is_refused_with_its_name)
{
    struct kn_buf b;
    kn_buf_init(&b, MIB(9));

    MAKE_RAW(&b, "GET / HTTP/1.1");
    assert_bad(&b, -EBADMSG, "EBML header");
    kn_buf_clear(&b);
    MAKE_RAW(&b, "\0\0\0\0");
    assert_bad(&b, -EBADMSG, "no EBML element");

    start(&b);
    make_header(&b, 1, 0, 1000000);
    assert_bad(&b, -EBADMSG, "EBML (0x1A45DFA3)");

    start(&b);
    make_block(&b, 1, 0, true, 5, 'x');
    assert_bad(&b, -EBADMSG, "SimpleBlock");

    start(&b);
    MAKE_RAW(&b, "\x1f\x43\xb6\x75\xff"); /* Cluster without Timestamp */
    make_block(&b, 1, 0, true, 5, 'x');
    assert_bad(&b, -EBADMSG, "SimpleBlock (0xA3)");

    start(&b);
    make_cluster(&b, 1);
    kn_mkv_write_uint(&b, KN_MKV_TIMESTAMP, 2);
    assert_bad(&b, -EBADMSG, "Timestamp");

    start(&b);
    MAKE_RAW(&b, "\x1f\x43\xb6\x75\xff\xe7\x89\1\2\3\4\5\6\7\10\11");
    assert_bad(&b, -EBADMSG, "Timestamp");

    start(&b);
    make_cluster(&b, 1);
    MAKE_RAW(&b, "\xa3\xff"); /* SimpleBlock of unknown size */
    assert_bad(&b, -EBADMSG, "SimpleBlock");

    start(&b);
    make_cluster(&b, 1);
    MAKE_RAW(&b, "\xa3\x82\x81\0");
    assert_bad(&b, -EBADMSG, "SimpleBlock");

    start(&b);
    make_cluster(&b, 1);
    MAKE_RAW(&b, "\xa3\x01\xff\xff\xff\xff\xff\xff\xf0"); /* 2^56 - 16 bytes */
    assert_bad(&b, -EBADMSG, "SimpleBlock");

    start(&b);
    make_cluster(&b, 1);
    make_block(&b, 1, 0, true, 5, 'x');
    struct kn_buf tracks;
    kn_buf_init(&tracks, 64);
    make_element(&b, KN_MKV_TRACKS, &tracks);
    assert_bad(&b, -EBADMSG, "Tracks (0x1654AE6B)");
    kn_buf_done(&tracks);

    start(&b);
    make_cluster(&b, 1);
    MAKE_RAW(&b, "\xa1\x84\x81\0\0\0"); /* Block outside a BlockGroup */
    assert_bad(&b, -EBADMSG, "Block (0xA1)");

    start(&b);
    make_cluster(&b, 1);
    MAKE_RAW(&b, "\xa0\x83\x9b\x81\x05"); /* BlockGroup without a Block */
    assert_bad(&b, -EBADMSG, "BlockGroup");

    start(&b);
    make_cluster(&b, 1);
    MAKE_RAW(&b, "\xa0\x84\xa1\x88\x81\0\0\0"); /* Block larger than its group */
    assert_bad(&b, -EBADMSG, "Block");
    kn_buf_done(&b);
}

TEST(known_sizes_bind_their_children)
{
    struct kn_buf b;
    kn_buf_init(&b, MIB(9));

    start(&b); /* Cluster of known size 6: Timestamp takes 3, the block wants 9 */
    MAKE_RAW(&b, "\x1f\x43\xb6\x75\x86\xe7\x81\x01\xa3\x87\x81\0\0\x80xyz");
    assert_bad(&b, -EBADMSG, "SimpleBlock");

    start(&b); /* a Cluster inside a Cluster of known size */
    MAKE_RAW(&b, "\x1f\x43\xb6\x75\x8a\xe7\x81\x01\x1f\x43\xb6\x75\xff\xe7\x81\x01");
    assert_bad(&b, -EBADMSG, "Cluster");

    start(&b); /* ends inside a Cluster of known size, at a whole element */
    MAKE_RAW(&b, "\x1f\x43\xb6\x75\xa0\xe7\x81\x01");
    assert_bad(&b, -ENODATA, "Timestamp");

    start(&b); /* a Tags element that says more than its children hold */
    make_cluster(&b, 1);
    MAKE_RAW(&b, "\x12\x54\xc3\x67\x84\x73\x73\x8f\xff");
    assert_bad(&b, -EBADMSG, "Tag");
    kn_buf_done(&b);
}

TEST(ceilings_hold_before_memory_is_taken)
{
    struct kn_buf b;
    kn_buf_init(&b, MIB(9));

    start(&b);
    kn_mkv_write_id(&b, KN_MKV_VOID);
    kn_mkv_write_size(&b, MIB(4), 8);
    assert_bad(&b, -EMSGSIZE, "Void");

    start(&b);
    make_cluster(&b, 1);
    kn_mkv_write_id(&b, KN_MKV_TAGS);
    kn_mkv_write_size(&b, KIB(64) + 1, 8);
    assert_bad(&b, -EMSGSIZE, "Tags");

    start(&b);
    make_cluster(&b, 1);
    kn_mkv_write_id(&b, KN_MKV_CUES);
    kn_mkv_write_size(&b, MIB(64) + 1, 8);
    assert_bad(&b, -EMSGSIZE, "Cues");
    kn_buf_done(&b);
}

TEST(simple_tags_nest_only_so_deep)
{
    struct kn_buf inner, outer, b;
    kn_buf_init(&inner, MIB(1));
    kn_buf_init(&outer, MIB(1));
    kn_buf_init(&b, MIB(1));
    kn_mkv_write_string(&inner, KN_MKV_TAG_NAME, KN_STR("deep"));
    for (int i = 0; i < 12; i++) {
        kn_buf_clear(&outer);
        make_element(&outer, KN_MKV_SIMPLE_TAG, &inner);
        struct kn_buf swap = inner;
        inner = outer;
        outer = swap;
    }
    kn_buf_clear(&outer);
    make_element(&outer, KN_MKV_TAG, &inner);
    start(&b);
    make_cluster(&b, 1);
    make_element(&b, KN_MKV_TAGS, &outer);

    assert_bad(&b, -EBADMSG, "nested");
    kn_buf_done(&inner);
    kn_buf_done(&outer);
    kn_buf_done(&b);
}

TEST(unknown_elements_pass_by)
{
    struct kn_buf b;
    kn_buf_init(&b, MIB(1));
    start(&b);
    make_cluster(&b, 1);
    MAKE_RAW(&b, "\x42\xaa\x85hello"); /* not an id of Matroska */
    MAKE_RAW(&b, "\xec\x80");          /* empty Void */
    make_block(&b, 1, 0, true, 5, 'x');
    MAKE_RAW(&b, "\x1c\x53\xbb\x6b\x83zzz"); /* Cues end the Cluster */
    MAKE_RAW(&b, "\xec\x82zz");

    struct trace t;
    run_all(&t, kn_buf_bytes(&b), true);

    assert_ok(t.result);
    assert_int_equal(t.blocks, 1);
    assert_int_equal(t.raw.len, b.len);
    assert_memory_equal(t.raw.ptr, b.ptr, b.len);
    trace_done(&t);
    kn_buf_done(&b);
}

TEST(a_segment_of_known_size_ends_there)
{
    struct kn_buf b;
    kn_buf_init(&b, MIB(1));
    start(&b);
    uint8_t *size = memmem(b.ptr, b.len, "\x18\x53\x80\x67", 4);
    assert_non_null(size);
    size_t at = (size_t) (size - b.ptr) + 12;
    make_cluster(&b, 1);
    make_block(&b, 1, 0, true, 5, 'x');
    kn_put_u64be(b.ptr + at - 8, (uint64_t) 1 << 56 | (b.len - at));

    struct trace t;
    run_all(&t, kn_buf_bytes(&b), true);
    assert_ok(t.result);
    assert_int_equal(t.blocks, 1);
    trace_done(&t);

    MAKE_RAW(&b, "\xec\x80");
    assert_bad(&b, -EBADMSG, "after the end of the Segment");
    kn_buf_done(&b);
}

TEST(blocks_may_have_wide_track_numbers)
{
    struct kn_buf b;
    kn_buf_init(&b, MIB(1));
    BLOCK_WITH(&b, "\x41\x00\x00\x05\x80zz");
    struct trace t;
    run_all(&t, kn_buf_bytes(&b), true);
    kn_buf_append_byte(&t.lines, 0);

    assert_ok(t.result);
    assert_non_null(strstr((const char *) t.lines.ptr, "track=256 time=5 key=1"));
    trace_done(&t);
    kn_buf_done(&b);
}

TESTS_MAIN(TEST_OF(every_capture_gives_the_same_events_at_any_split),
           TEST_OF(tags_without_targets_before_the_first_cluster_leave_the_header),
           TEST_OF(a_stream_cut_inside_an_element_says_so), TEST_OF(an_empty_body_is_legal),
           TEST_OF(block_groups_tell_keys_and_durations),
           TEST_OF(lacing_of_each_kind_is_taken_apart),
           TEST_OF(lacing_that_makes_no_sense_is_refused),
           TEST_OF(each_malformed_shape_is_refused_with_its_name),
           TEST_OF(known_sizes_bind_their_children), TEST_OF(ceilings_hold_before_memory_is_taken),
           TEST_OF(simple_tags_nest_only_so_deep), TEST_OF(unknown_elements_pass_by),
           TEST_OF(a_segment_of_known_size_ends_there), TEST_OF(blocks_may_have_wide_track_numbers))
