/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/format-chunk.md shows a chunk byte by byte. The code makes exactly those bytes, and a reader
 * written from the page's tables alone, without the product's decoders, finds everything in them.
 */
#include "chunk.h"
#include "frames.h"
#include "memory_file.h"
#include "test.h"

#include "core/crypto.h"
#include "core/fs.h"

enum {
    BYTES_MAX = 4096
};

/* --- the chunk of the page, made by the product ----------------------------------------------- */
static void make_header(struct kn_buf *out)
{
    struct kn_mkv_header h = {.timestamp_scale_ns = 1000000, .track_count = 1};
    h.tracks[0] =
        (struct kn_mkv_track){.number = 1, .type = KN_MKV_VIDEO, .codec_id = "V_MPEG4/ISO/AVC"};
    h.tracks[0].pixel_width = 640;
    h.tracks[0].pixel_height = 360;
    assert_ok(kn_mkv_write_header(out, &h, KN_STR("doc")));
}

static void write_at(struct storage_chunk *chunk, const struct kn_buf *bytes, uint64_t at)
{
    assert_ok(kn_file_write_all(chunk->file, &(struct iovec){bytes->ptr, bytes->len}, 1, at));
}

static void add_fragment(struct storage_chunk *chunk)
{
    struct kn_buf media, table, record;
    kn_buf_init(&media, BYTES_MAX);
    kn_buf_init(&table, BYTES_MAX);
    kn_buf_init(&record, BYTES_MAX);
    struct storage_frame_coder coder = {0};
    (void) kn_mkv_write_cluster(&media, 7000);
    for (unsigned i = 0; i < 2; i++) {
        (void) kn_mkv_write_block_head(&media, 1, (int16_t) (40 * i), i == 0, 3 - i);
        struct storage_frame frame = {.offset = (uint32_t) media.len,
                                      .bytes = 3 - i,
                                      .time = (int32_t) (40 * i),
                                      .track = 1,
                                      .key = i == 0};
        (void) kn_buf_append(&media, "abc", 3 - i);
        assert_ok(storage_frame_encode(&coder, &frame, &table));
    }
    struct storage_fragment f = {
        .number = {43, 1763851000500, 0x1234567},
        .producer_ts_ms = 1763850999000,
        .timecode = 7000,
        .ordinal = 12,
        .discontinuity = 3,
        .duration_ms = 40,
        .full_duration_ms = 80,
        .bytes = media.len,
        .cluster_bytes = media.len,
        .frame_count = 2,
        .flags = STORAGE_FRAGMENT_DISCONTINUITY,
        .offset = chunk->tail,
        .record_bytes = (uint32_t) (STORAGE_RECORD_HEAD_BYTES + STORAGE_ENTRY_BYTES + table.len),
    };
    uint8_t entry[STORAGE_ENTRY_BYTES];
    assert_ok(
        storage_entry_encode(entry, &chunk->index.head, &f, 0, kn_crc32c(0, kn_buf_bytes(&media))));
    size_t start = storage_record_start(&record, STORAGE_RECORD_FRAGMENT);
    (void) kn_buf_append(&record, entry, sizeof(entry));
    (void) kn_buf_append(&record, table.ptr, table.len);
    struct storage_record r = {.offset = (uint32_t) (f.offset + f.bytes),
                               .previous = (uint32_t) chunk->previous,
                               .durable_upto = (uint32_t) chunk->tail,
                               .epoch = 2};
    storage_record_end(&record, start, &r, chunk->seed);
    write_at(chunk, &media, chunk->tail);
    write_at(chunk, &record, chunk->tail + media.len);
    chunk->previous = chunk->tail + media.len;
    chunk->tail += media.len + record.len;
    chunk->durable_upto = chunk->tail;
    assert_ok(storage_index_add(&chunk->index, entry));
    kn_buf_done(&record);
    kn_buf_done(&table);
    kn_buf_done(&media);
}

static size_t make_chunk(uint8_t dst[BYTES_MAX])
{
    struct storage_chunk_head head = {
        .name = {42, 1763851000000, 0x7654321},
          .ordinal = 12, .discontinuity = 2, .epoch = 2
    };
    for (unsigned i = 0; i < STORAGE_CHUNK_ID_BYTES; i++) {
        head.id[i] = (uint8_t) (0xA0 + i);
        head.stream.bytes[i] = (uint8_t) (0xB0 + i);
    }
    struct storage_chunk *chunk;
    struct kn_buf header, image;
    kn_buf_init(&header, BYTES_MAX);
    kn_buf_init(&image, BYTES_MAX);
    make_header(&header);
    assert_ok(storage_chunk_new(NULL, &head, true, &chunk));
    assert_ok(storage_memory_file_new(&chunk->file));
    assert_ok(storage_chunk_image(chunk, kn_buf_bytes(&header), &image, &chunk->index.headers[0]));
    chunk->index.header_count = 1;
    write_at(chunk, &image, 0);
    chunk->tail = image.len;
    add_fragment(chunk);
    uint64_t footer_offset, bytes;
    assert_ok(storage_chunk_seal(chunk, &footer_offset, &bytes));
    assert_true(bytes <= BYTES_MAX);
    assert_ok(kn_file_read_all(chunk->file, dst, (size_t) bytes, 0));
    storage_chunk_unref(chunk);
    kn_buf_done(&image);
    kn_buf_done(&header);
    return (size_t) bytes;
}

/* --- the page --------------------------------------------------------------------------------- */
/* Lines of "0000: 1a 45 …" between the fences after the heading. */
static size_t read_page(uint8_t dst[BYTES_MAX])
{
    const char *source = getenv("KINEMA_SOURCE");
    char path[1024], line[512];
    snprintf(path, sizeof(path), "%s/docs/format-chunk.md", source ? source : ".");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t len = 0;
    while (fgets(line, sizeof(line), file)) {
        unsigned at;
        int used;
        if (sscanf(line, "%4x: %n", &at, &used) != 1 || used != 6 || line[4] != ':')
            continue;
        assert_int_equal(at, len);
        for (const char *p = line + used; p[0] && p[1] && p[0] != ' ' && p[0] != '\n'; p += 3) {
            assert_ok(kn_hex_decode((struct kn_str){p, 2}, &dst[len++], 1));
            if (p[2] != ' ')
                break;
        }
    }
    fclose(file);
    return len;
}

static void print_hex(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (i % 16 == 0)
            printf("%s%04zx:", i ? "\n" : "", i);
        printf(" %02x", bytes[i]);
    }
    printf("\n");
}

TEST(the_page_shows_the_bytes_that_the_code_makes)
{
    uint8_t page[BYTES_MAX], made[BYTES_MAX];
    size_t page_len = read_page(page), made_len = make_chunk(made);

    bool same = page_len == made_len && memcmp(page, made, made_len) == 0;
    if (!same)
        print_hex(made, made_len);

    assert_true(same);
}

/* --- a reader made from the tables ------------------------------------------------------------ */
static uint64_t le(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = n; i > 0; i--)
        v = v << 8 | p[i - 1];
    return v;
}

/* CRC-32C bit by bit, reflected, as RFC 3720 B.4 has it; `crc` goes on from an earlier result. */
static uint32_t crc32c(uint32_t crc, const uint8_t *p, size_t n)
{
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82F63B78u : crc >> 1;
    }
    return ~crc;
}

static void expect_record(const uint8_t *file, size_t at, const char *kind, uint32_t seed)
{
    const uint8_t *p = file + at;
    assert_int_equal(p[0], 0xEC);
    size_t bytes =
        5 + (((size_t) p[1] << 24 | (size_t) p[2] << 16 | (size_t) p[3] << 8 | p[4]) & 0x0FFFFFFF);
    assert_memory_equal(p + 5, kind, 4);
    uint32_t crc = crc32c(seed, p, 9);
    crc = crc32c(crc, p + 13, bytes - 13);
    assert_int_equal(le(p + 9, 4), crc);
    assert_int_equal(le(p + 13, 4), at);
}

TEST(a_reader_made_from_the_tables_understands_the_page)
{
    uint8_t file[BYTES_MAX];
    size_t len = read_page(file);
    assert_memory_equal(file + len - 4, "KNMZ", 4);
    size_t footer = len - le(file + len - 8, 4);
    const uint8_t *body = file + footer + 29;
    uint32_t seed = crc32c(0, body + 16 + 8, 16);
    expect_record(file, footer, "KNME", seed);
    assert_int_equal(le(body, 4), 1);
    assert_int_equal(le(body + 4, 4), 1);

    const uint8_t *entry = body + 96 + 16;
    assert_int_equal(le(body + 16 + 40, 8) + le(entry, 4), 43);
    assert_int_equal(le(body + 16 + 48, 8) + le(entry + 4, 4), 1763851000500);
    assert_int_equal(le(entry + 8, 4), 0x1234567);
    assert_int_equal(le(entry + 12, 8), 1763850999000);
    assert_int_equal(le(entry + 20, 8), 7000);
    assert_int_equal(le(body + 16 + 56, 8) + le(entry + 28, 2), 12);
    assert_int_equal(le(body + 16 + 64, 8) + le(entry + 30, 2), 3);
    assert_int_equal(le(entry + 32, 4), 40);
    assert_int_equal(le(entry + 36, 2), 40);
    assert_int_equal(entry[39], 2);
    size_t offset = le(entry + 40, 4), bytes = le(entry + 44, 4);
    assert_int_equal(le(entry + 60, 4), crc32c(0, file + offset, bytes));
    assert_memory_equal(file + offset, "\x1F\x43\xB6\x75", 4); /* the Cluster */

    size_t record = offset + bytes;
    expect_record(file, record, "KNMF", seed);
    assert_memory_equal(file + record + 29, entry, 64);
    assert_int_equal(le(file + record + 17, 4),
                     le(body + 96, 4) - 45); /* back to the header record */
    expect_record(file, le(body + 96, 4) - 45, "KNMH", seed);
    size_t head = le(file + le(body + 96, 4) - 45 + 17, 4);
    expect_record(file, head, "KNMC", seed);

    const uint8_t *frame = file + record + 29 + 64;
    assert_int_equal(frame[0] & 1, 1);   /* key */
    assert_int_equal(frame[0] & 64, 64); /* a new track */
    assert_int_equal(frame[1], 1);
    assert_int_equal(frame[2], 3); /* bytes */
    assert_memory_equal(file + offset + frame[3], "abc", 3);
}

TESTS_MAIN(TEST_OF(the_page_shows_the_bytes_that_the_code_makes),
           TEST_OF(a_reader_made_from_the_tables_understands_the_page))
