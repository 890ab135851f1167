/* SPDX-License-Identifier: Apache-2.0 */
/* The list of refused sectors; see sick.h. */
#include "segment.h"

#include "core/log.h"
#include "core/metrics.h"

static struct kn_metric_family unreadable = {
    .kind = KN_COUNTER,
    .name = "kinema_shard_unreadable_total",
    .help = "Sectors of segments of shards given up, since the disk refuses to read them",
};

static struct storage_sick_sector *find_locked(struct storage_sick *sick,
                                               const struct storage_segment *segment, uint64_t at)
{
    for (size_t i = 0; i < sick->count; i++) {
        struct storage_sick_sector *s = &sick->sectors[i];
        if (s->at == at && s->first == segment->row.first &&
            storage_id_cmp(&s->shard, &segment->shard) == 0)
            return s;
    }
    return NULL;
}

static void say(const struct storage_sick_sector *s)
{
    char text[STORAGE_ID_TEXT_BYTES];
    storage_id_text(&s->shard, text);
    kn_metric_add(kn_metric_series(&unreadable, NULL), 1);
    kn_log_error("shard_unreadable",
                 "shard=%s number=%" PRIu64 " at=%" PRIu64 " bytes=%d err=EIO"
                 " said=\"the disk has refused it for %d ms: what lies there is passed over\"",
                 text, s->first, s->at, STORAGE_SICK_SECTOR_BYTES, STORAGE_SICK_MS);
}

/* True: given up. */
static bool refused(struct storage_segment *segment, uint64_t at)
{
    struct storage_sick *sick = &segment->shards->sick;
    int64_t now_ns = kn_mono_ns(segment->shards->storage->clock);
    KN_LOCKED(&sick->lock);
    struct storage_sick_sector *s = find_locked(sick, segment, at);
    if (!s && sick->count < STORAGE_SICK_SECTORS_MAX) {
        s = &sick->sectors[sick->count++];
        *s = (struct storage_sick_sector){
            .shard = segment->shard, .first = segment->row.first, .at = at, .since_ns = now_ns};
    }
    if (!s || now_ns - s->since_ns < STORAGE_SICK_MS * INT64_C(1000000))
        return false;
    if (!s->said)
        say(s);
    s->said = true;
    return true;
}

void storage_sick_got(struct storage_segment *segment, uint64_t at, size_t len)
{
    struct storage_sick *sick = &segment->shards->sick;
    if (sick->count == 0)
        return;
    at += segment->row.place; /* sectors are the file's */
    KN_LOCKED(&sick->lock);
    uint64_t end = at + len;
    for (uint64_t sector = at / STORAGE_SICK_SECTOR_BYTES * STORAGE_SICK_SECTOR_BYTES; sector < end;
         sector += STORAGE_SICK_SECTOR_BYTES) {
        struct storage_sick_sector *s = find_locked(sick, segment, sector);
        if (s)
            *s = sick->sectors[--sick->count];
    }
}

/* Its first byte or its last: or it is the disk that fails, not a place on it. */
static bool is_readable(struct storage_segment *segment)
{
    uint8_t byte;
    struct iovec iov = {&byte, 1};
    const struct kn_fs_ops *ops = segment->file->fs->ops;
    const struct storage_segment_row *row = &segment->row;
    return ops->preadv(segment->file, &iov, 1, row->place, false) >= 0 ||
           ops->preadv(segment->file, &iov, 1, row->place + row->bytes - 1, false) >= 0;
}

int storage_sick_read(struct storage_segment *segment, uint8_t *dst, size_t len, uint64_t at,
                      size_t *ret_len)
{
    size_t got = 0;
    int r = 0;
    if (!is_readable(segment))
        return -EIO;
    while (got < len) {
        uint64_t place = segment->row.place + at + got;
        uint64_t sector = place / STORAGE_SICK_SECTOR_BYTES * STORAGE_SICK_SECTOR_BYTES;
        size_t want = kn_min_u64(len - got, sector + STORAGE_SICK_SECTOR_BYTES - place);
        struct iovec iov = {dst + got, want};
        ssize_t n = segment->file->fs->ops->preadv(segment->file, &iov, 1, place, false);
        if (n == 0)
            break;
        if (n > 0) {
            storage_sick_got(segment, at + got, (size_t) n);
        } else if (n == -EIO && refused(segment, sector)) {
            memset(dst + got, 0, want);
            n = (ssize_t) want;
        } else if (n == -EIO) {
            r = -EIO; /* the others are looked at all the same: their time runs beside */
            n = (ssize_t) want;
        } else {
            return (int) n;
        }
        got += (size_t) n;
    }
    *ret_len = got;
    return r;
}
