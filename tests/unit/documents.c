/* SPDX-License-Identifier: Apache-2.0 */
/* See documents.h. Walks elements with the tests' own reader. */
#include "documents.h"

#include "test.h"

#include <string.h>

struct element {
    uint32_t id;
    uint64_t size;
    size_t head;
};

static struct element element_at(const uint8_t *bytes, size_t len, size_t at)
{
    struct element e = {0};

    e.head = capture_element(bytes + at, len - at, &e.id, &e.size);
    if (!e.head)
        fail_msg("no element at offset %zu of %zu", at, len);
    return e;
}

static void note(struct document *doc, const struct element *e, size_t at)
{
    if (e->id == KN_MKV_SEGMENT)
        doc->segment = at;
    if (e->id == KN_MKV_TAGS && !doc->cluster)
        doc->first_tags = at;
    if (e->id == KN_MKV_TAGS && doc->cluster) {
        doc->last_tags = at;
        if (!doc->cluster_end)
            doc->cluster_end = at;
    }
    if (e->id == KN_MKV_CLUSTER) {
        assert_int_equal(doc->cluster, 0); /* one Cluster a document */
        doc->cluster = at;
    }
    if (e->id == KN_MKV_SIMPLE_BLOCK || e->id == KN_MKV_BLOCK_GROUP)
        doc->frame_count++;
    if (e->id == KN_MKV_VOID && doc->cluster)
        doc->void_count++;
}

struct document *documents_of(const void *bytes, size_t len, size_t *ret_count)
{
    const uint8_t *base = bytes;
    struct document *docs = NULL;
    size_t count = 0, cluster_end = SIZE_MAX;

    for (size_t at = 0; at < len;) {
        struct element e = element_at(base, len, at);

        if (cluster_end != SIZE_MAX && at >= cluster_end) {
            assert_int_equal(at, cluster_end); /* a Cluster of known size ends between elements */
            cluster_end = SIZE_MAX;
        }
        if (e.id == KN_MKV_EBML) {
            assert_true(cluster_end == SIZE_MAX);
            docs = realloc(docs, (count + 1) * sizeof *docs);
            assert_non_null(docs);
            docs[count++] = (struct document){.start = base + at};
        }
        assert_true(count > 0);
        note(&docs[count - 1], &e, (size_t) (base + at - docs[count - 1].start));
        if (e.id == KN_MKV_CLUSTER && e.size != UINT64_MAX)
            cluster_end = at + e.head + (size_t) e.size;
        at += e.head;
        if (e.id != KN_MKV_SEGMENT && e.id != KN_MKV_CLUSTER) {
            assert_true(e.size <= len - at);
            at += (size_t) e.size;
        }
        docs[count - 1].len = (size_t) (base + at - docs[count - 1].start);
    }
    assert_true(cluster_end == SIZE_MAX || cluster_end == len);
    for (size_t i = 0; i < count; i++)
        if (docs[i].cluster && !docs[i].cluster_end)
            docs[i].cluster_end = docs[i].len;
    *ret_count = count;
    return docs;
}

static bool find_tag(const struct document *doc, size_t tags, const char *name, struct kn_str *ret)
{
    struct element e = element_at(doc->start, doc->len, tags);
    size_t end = tags + e.head + (size_t) e.size;
    bool found = false;

    assert_int_equal(e.id, KN_MKV_TAGS);
    for (size_t at = tags + e.head; at < end;) {
        e = element_at(doc->start, end, at);
        at += e.head;
        if (e.id == KN_MKV_TAG || e.id == KN_MKV_SIMPLE_TAG)
            continue;
        if (e.id == KN_MKV_TAG_NAME)
            found = e.size == strlen(name) && !memcmp(doc->start + at, name, strlen(name));
        if (e.id == KN_MKV_TAG_STRING && found) {
            *ret = (struct kn_str){(const char *) doc->start + at, (size_t) e.size};
            return true;
        }
        at += (size_t) e.size;
    }
    return false;
}

struct kn_str document_tag(const struct document *doc, size_t tags, const char *name)
{
    struct kn_str value = {0};

    assert_true(tags > 0);
    if (!find_tag(doc, tags, name, &value))
        fail_msg("no tag %s", name);
    return value;
}

bool document_has_tag(const struct document *doc, size_t tags, const char *name)
{
    struct kn_str value;

    return tags && find_tag(doc, tags, name, &value);
}

void document_tags_shape(const struct document *doc, size_t tags, char *dst, size_t cap)
{
    struct element e = element_at(doc->start, doc->len, tags);
    size_t end = tags + e.head + (size_t) e.size, used = 0;

    for (size_t at = tags; at < end;) {
        e = element_at(doc->start, doc->len, at);
        used += (size_t) snprintf(dst + used, cap - used, "%X/%zu", e.id, e.head);
        at += e.head;
        if (e.id == KN_MKV_TAG_NAME)
            used += (size_t) snprintf(dst + used, cap - used, "=%.*s", (int) e.size,
                                      (const char *) doc->start + at);
        used += (size_t) snprintf(dst + used, cap - used, " ");
        assert_true(used < cap);
        if (e.id == KN_MKV_TAG_NAME || e.id == KN_MKV_TAG_STRING)
            at += (size_t) e.size;
    }
}
