/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata: what came by kvssink's event goes into the open fragment, or into each. */
#include "sink.h"

#include <errno.h>
#include <string.h>

struct sink_tag {
    char *name, *value;
    gboolean persist, fresh;
};

static void free_tag(gpointer ptr)
{
    struct sink_tag *tag = ptr;
    g_free(tag->name);
    g_free(tag->value);
    g_free(tag);
}

/* What is new goes to the open fragment, what persists to each. */
void sink_put_metadata(KinemaSink *sink)
{
    struct kinema_stats stats;
    gboolean opened;
    GQueue due = G_QUEUE_INIT;
    kinema_producer_stats(sink->producer, &stats);
    opened = stats.fragments_put != sink->fragments;
    sink->fragments = stats.fragments_put;
    g_mutex_lock(&sink->lock);
    for (GList *one = sink->tags.head, *next; one; one = next) {
        struct sink_tag *tag = one->data, *copy;
        next = one->next;
        if (!tag->fresh && !(tag->persist && opened))
            continue;
        tag->fresh = FALSE;
        copy = tag;
        if (tag->persist) {
            copy = g_new0(struct sink_tag, 1);
            copy->name = g_strdup(tag->name);
            copy->value = g_strdup(tag->value);
        } else {
            g_queue_delete_link(&sink->tags, one);
        }
        g_queue_push_tail(&due, copy);
    }
    g_mutex_unlock(&sink->lock);
    for (struct sink_tag *tag; (tag = g_queue_pop_head(&due)); free_tag(tag)) {
        int code = kinema_producer_put_tag(sink->producer, tag->name, tag->value);
        if (code < 0)
            GST_ELEMENT_WARNING(sink, STREAM, FAILED,
                                ("Metadata %s is left out: %s.", tag->name,
                                 code == -ENOSPC ? "a fragment has ten at most" : "not allowed"),
                                (NULL));
    }
}

/* kvssink's event: name, value, persist. A value that persists is replaced by the next of its name,
 * and ended by an empty one. */
void sink_take_metadata(KinemaSink *sink, const GstStructure *shape)
{
    const char *name = gst_structure_get_string(shape, "name");
    const char *value = gst_structure_get_string(shape, "value");
    struct sink_tag *tag;
    gboolean persist = FALSE;
    if (!name)
        return;
    (void) gst_structure_get_boolean(shape, "persist", &persist);
    g_mutex_lock(&sink->lock);
    for (GList *one = persist ? sink->tags.head : NULL, *next; one; one = next) {
        tag = one->data;
        next = one->next;
        if (tag->persist && strcmp(tag->name, name) == 0) {
            free_tag(tag);
            g_queue_delete_link(&sink->tags, one);
        }
    }
    if (!persist || (value && *value)) {
        tag = g_new0(struct sink_tag, 1);
        *tag = (struct sink_tag){g_strdup(name), g_strdup(value ? value : ""), persist, TRUE};
        g_queue_push_tail(&sink->tags, tag);
    }
    g_mutex_unlock(&sink->lock);
}

void sink_free_metadata(KinemaSink *sink)
{
    g_queue_clear_full(&sink->tags, free_tag);
}
