/* SPDX-License-Identifier: Apache-2.0 */
/* Faults by the linker's hand; see mutant.h. */
#include "mutant.h"

#include "committer.h"
#include "log.h"
#include "storage_internal.h"

#include "core/crypto.h"
#include "storage/meta.h"

static enum mutant now;
static struct sim_disk *disk;

static const struct {
    const char *name;
    unsigned lies;
} mutants[MUTANT_COUNT] = {
    [MUTANT_NONE] = {"none",                                                 SIM_HONEST              },
    [MUTANT_NO_DATA_FLUSH] = {"no flush of data",                                     SIM_NO_DATA_SYNC        },
    [MUTANT_NO_FOLDER_FLUSH] = {"no flush of folders",                                  SIM_NO_DIR_SYNC         },
    [MUTANT_NO_CATALOGUE_FLUSH] = {"no flush of the catalogue",                            SIM_HONEST              },
    [MUTANT_NO_CHECKSUM] = {"no checksums",                                         SIM_HONEST              },
    [MUTANT_ACK_BEFORE_FLUSH] = {"acknowledged before the flush",                        SIM_HONEST              },
    [MUTANT_ROW_BEFORE_FOOTER] = {"index before data: row before the footer's flush",     SIM_HONEST              },
    [MUTANT_NO_INTENT] = {"file without an intent",                               SIM_HONEST              },
    [MUTANT_NUMBERS_NOT_RESERVED] = {"numbers used before they are reserved",                SIM_HONEST              },
    [MUTANT_HORIZON_NOT_STORED] = {"trim order: files go before the horizon is stored",    SIM_HONEST              },
    [MUTANT_ROW_BEFORE_UNLINK] = {"trim order: row goes before its file",                 SIM_LATE_UNLINK         },
    [MUTANT_FLUSH_TRIED_AGAIN] = {"a failed flush tried again and believed",              SIM_SYNC_AGAIN          },
    [MUTANT_FENCE_NOT_STORED] = {"fence of a failed chunk not stored",                   SIM_KEEPS_CACHE         },
    [MUTANT_DURABLE_TOO_FAR] = {"records claim more was flushed than was",              SIM_HONEST              },
    [MUTANT_TAIL_NOT_CUT] = {"torn tail not cut",                                    SIM_NO_TRUNCATE         },
    [MUTANT_DELETED_STREAM_KEPT] = {"chunks of a deleted stream kept",                      SIM_HONEST              },
    [MUTANT_HOLDS_NOT_READ] = {"legal holds not read at start",                        SIM_HONEST              },
    [MUTANT_NO_VOLUME_FLUSH] = {"no flush of the volume",                               SIM_NO_VOLUME_SYNC      },
    [MUTANT_VOLUME_FLUSH_DENIED] = {"acknowledged though the flush of the volume failed",
                     SIM_VOLUME_SYNC_DENIES                                                          },
    [MUTANT_VOLUME_FLUSHED_AGAIN] = {"volume flushed, and believed, after its flush failed",
                     SIM_HONEST                                                                      },
    [MUTANT_DISK_KEEPS_CACHE] = {"no flush of a file after the volume's",                SIM_NO_SYNC_AFTER_VOLUME},
    [MUTANT_HOLDS_NOT_ASKED] = {"retention does not ask for legal holds",               SIM_HONEST              },
};

uint32_t __real_kn_crc32c(uint32_t crc, struct kn_bytes bytes);
void __real_storage_committer_add(struct storage_committer *c, struct storage_log *log,
                                  struct storage_chunk *chunk, bool soon);
int __real_storage_meta_put(struct storage_meta *meta, struct kn_bytes key, struct kn_bytes value,
                            uint64_t expect, uint64_t *ret_version);
void __real_storage_meta_change_all(struct storage_meta *meta, struct storage_meta_change *changes,
                                    size_t count);
int __real_storage_meta_remove(struct storage_meta *meta, struct kn_bytes key, uint64_t expect);
void __real_storage_record_end(struct kn_buf *out, size_t start,
                               const struct storage_record *record, uint32_t seed);
int __real_storage_log_drop(struct storage *storage, const struct storage_id *id);

uint32_t __wrap_kn_crc32c(uint32_t crc, struct kn_bytes bytes);
void __wrap_storage_committer_add(struct storage_committer *c, struct storage_log *log,
                                  struct storage_chunk *chunk, bool soon);
int __wrap_storage_meta_put(struct storage_meta *meta, struct kn_bytes key, struct kn_bytes value,
                            uint64_t expect, uint64_t *ret_version);
void __wrap_storage_meta_change_all(struct storage_meta *meta, struct storage_meta_change *changes,
                                    size_t count);
int __wrap_storage_meta_remove(struct storage_meta *meta, struct kn_bytes key, uint64_t expect);
void __wrap_storage_record_end(struct kn_buf *out, size_t start,
                               const struct storage_record *record, uint32_t seed);
int __wrap_storage_log_drop(struct storage *storage, const struct storage_id *id);
int __real_storage_holds_load(struct storage_holds *holds, struct storage_meta *meta,
                              struct kn_err *err);
int __wrap_storage_holds_load(struct storage_holds *holds, struct storage_meta *meta,
                              struct kn_err *err);
void __real_storage_flush_volume_close(struct storage_flush_volume *v);
void __wrap_storage_flush_volume_close(struct storage_flush_volume *v);
bool __real_storage_log_holds(const struct storage_log *log, const struct storage_chunk_row *row);
bool __wrap_storage_log_holds(const struct storage_log *log, const struct storage_chunk_row *row);

const char *mutant_name(enum mutant mutant)
{
    return mutants[mutant].name;
}

void mutant_set(enum mutant mutant, struct sim_disk *d)
{
    now = mutant;
    disk = d;
    sim_disk_lie(d, mutants[mutant].lies);
    sim_disk_lmdb(d)->no_sync = mutant == MUTANT_NO_CATALOGUE_FLUSH;
}

uint32_t __wrap_kn_crc32c(uint32_t crc, struct kn_bytes bytes)
{
    return now == MUTANT_NO_CHECKSUM ? 0 : __real_kn_crc32c(crc, bytes);
}

void __wrap_storage_committer_add(struct storage_committer *c, struct storage_log *log,
                                  struct storage_chunk *chunk, bool soon)
{
    bool footer = chunk->sealed_bytes != 0;
    __real_storage_committer_add(c, log, chunk, soon);
    if ((now == MUTANT_ACK_BEFORE_FLUSH && !footer) || (now == MUTANT_ROW_BEFORE_FOOTER && footer))
        storage_log_flushed(log, chunk, chunk->tail, footer, 0);
}

/* "q/": the numbers of a stream, with its horizon. */
static int put_numbers(struct storage_meta *meta, struct kn_bytes key, struct kn_bytes value,
                       uint64_t expect, uint64_t *ret_version)
{
    struct storage_numbers numbers;
    uint8_t changed[STORAGE_NUMBERS_BYTES];
    kn_assert(storage_numbers_decode(value, &numbers) == 0);
    if (now == MUTANT_NUMBERS_NOT_RESERVED) {
        numbers.reserved_seq = 1;
    } else {
        numbers.trim_seq = 0;
        numbers.trim_server_ts_ms = 0;
        numbers.ordinal = numbers.discontinuity = 0;
    }
    storage_numbers_encode(&numbers, changed);
    return __real_storage_meta_put(meta, key, (struct kn_bytes){changed, sizeof(changed)}, expect,
                                   ret_version);
}

int __wrap_storage_meta_put(struct storage_meta *meta, struct kn_bytes key, struct kn_bytes value,
                            uint64_t expect, uint64_t *ret_version)
{
    if (key.ptr[0] == 'o' && now == MUTANT_FENCE_NOT_STORED)
        return 0;
    if (key.ptr[0] == 'q' &&
        (now == MUTANT_NUMBERS_NOT_RESERVED || now == MUTANT_HORIZON_NOT_STORED))
        return put_numbers(meta, key, value, expect, ret_version);
    return __real_storage_meta_put(meta, key, value, expect, ret_version);
}

int __wrap_storage_meta_remove(struct storage_meta *meta, struct kn_bytes key, uint64_t expect)
{
    int r = __real_storage_meta_remove(meta, key, expect);
    if (now == MUTANT_ROW_BEFORE_UNLINK && (key.ptr[0] == 'c' || key.ptr[0] == 'o'))
        sim_disk_unlink_late(disk);
    return r;
}

void __wrap_storage_meta_change_all(struct storage_meta *meta, struct storage_meta_change *changes,
                                    size_t count)
{
    bool intents = count > 0 && changes[0].key.ptr[0] == 'o' && !changes[0].remove;
    if (intents && now == MUTANT_NO_INTENT) {
        for (size_t i = 0; i < count; i++)
            changes[i].result = 0;
        return;
    }
    __real_storage_meta_change_all(meta, changes, count);
    if (now == MUTANT_ROW_BEFORE_UNLINK && !intents)
        sim_disk_unlink_late(disk);
}

void __wrap_storage_record_end(struct kn_buf *out, size_t start,
                               const struct storage_record *record, uint32_t seed)
{
    struct storage_record changed = *record;
    if (now == MUTANT_DURABLE_TOO_FAR)
        changed.durable_upto = record->offset;
    __real_storage_record_end(out, start, &changed, seed);
}

int __wrap_storage_log_drop(struct storage *storage, const struct storage_id *id)
{
    return now == MUTANT_DELETED_STREAM_KEPT ? 0 : __real_storage_log_drop(storage, id);
}

int __wrap_storage_holds_load(struct storage_holds *holds, struct storage_meta *meta,
                              struct kn_err *err)
{
    return now == MUTANT_HOLDS_NOT_READ ? 0 : __real_storage_holds_load(holds, meta, err);
}

bool __wrap_storage_log_holds(const struct storage_log *log, const struct storage_chunk_row *row)
{
    return now != MUTANT_HOLDS_NOT_ASKED && __real_storage_log_holds(log, row);
}

/* At the end too: the process ends with it. */
void __wrap_storage_flush_volume_close(struct storage_flush_volume *v)
{
    if (now != MUTANT_VOLUME_FLUSHED_AGAIN)
        __real_storage_flush_volume_close(v);
}
