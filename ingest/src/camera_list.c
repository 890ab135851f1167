/* SPDX-License-Identifier: Apache-2.0 */
#include "camera_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t ingest_camera_list_at(const struct ingest_camera_list *list, struct kn_str name,
                             bool *ret_found)
{
    size_t at =
        KN_BISECT(i, 0, list->count, kn_str_cmp(kn_str_from(list->all[i]->view.name), name) < 0);
    *ret_found = at < list->count && kn_str_eq(kn_str_from(list->all[at]->view.name), name);
    return at;
}

struct ingest_camera *ingest_camera_list_find(const struct ingest_camera_list *list,
                                              struct kn_str name)
{
    bool found;
    size_t at = ingest_camera_list_at(list, name, &found);
    return found ? list->all[at] : NULL;
}

int ingest_camera_list_insert(struct ingest_camera_list *list, const struct storage_stream *stream,
                              struct ingest_camera **ret)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 16;
        struct ingest_camera **more = realloc(list->all, cap * sizeof(*more));
        if (!more)
            return -ENOMEM;
        list->all = more;
        list->cap = cap;
    }
    struct ingest_camera *camera = calloc(1, sizeof(*camera));
    if (!camera)
        return -ENOMEM;
    camera->view.stream = stream->id;
    (void) !kn_str_copy(camera->view.name, sizeof camera->view.name, stream->name);
    bool found;
    size_t at = ingest_camera_list_at(list, stream->name, &found);
    memmove(list->all + at + 1, list->all + at, (list->count - at) * sizeof(*list->all));
    list->all[at] = camera;
    list->count++;
    *ret = camera;
    return 0;
}

void ingest_camera_list_erase(struct ingest_camera_list *list, size_t at)
{
    struct ingest_camera *camera = list->all[at];
    list->count--;
    memmove(list->all + at, list->all + at + 1, (list->count - at) * sizeof(*list->all));
    explicit_bzero(camera, sizeof(*camera)); /* its password */
    free(camera);
}

void ingest_camera_list_done(struct ingest_camera_list *list)
{
    while (list->count > 0)
        ingest_camera_list_erase(list, list->count - 1);
    free(list->all);
    *list = (struct ingest_camera_list){0};
}
