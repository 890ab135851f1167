/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of the data folder. */
#include "storage/storage.h"

#define AT(member) offsetof(struct storage_conf, member)

static const char *const flush_volume_choices[] = {"auto", "yes", "no", NULL};

const struct kn_conf_key storage_conf_keys[] = {
    {"io_threads",              KN_CONF_U64,    AT(io_threads),              1,       64,               8,                         NULL, NULL, "count",
     "Threads that write chunks and read what is not in memory."                                                                                                                                                                         },
    {"flush_threads",           KN_CONF_U64,    AT(flush_threads),           1,       64,               8,                         NULL, NULL, "count",
     "Threads that flush chunks side by side; flushes under way together share one disk barrier."                                                                                                                                        },
    {"flush_volume",            KN_CONF_CHOICE, AT(flush_volume),            0,       0,                STORAGE_FLUSH_VOLUME_AUTO, NULL,
     flush_volume_choices,                                                                                                                     "",
     "Flush many chunks by one call for their whole volume. auto: when the data folder is where an "
     "ext4 or XFS volume is mounted. yes is right where nothing else writes much to the data "
     "folder's volume: the call waits for that too."                                                                                                                                                                                     },
    {"flush_volume_files_min",  KN_CONF_U64,    AT(flush_volume_files_min),  1,       512,              8,                         NULL, NULL,
     "count",                                                                                                                                           "Fewer chunks are flushed each by itself even so."                               },
    {"chunk_bytes_max",         KN_CONF_U64,    AT(chunk_bytes_max),         KIB(4),  MIB(1024),        MIB(256),                  NULL, NULL,
     "bytes",                                                                                                                                           "A chunk file is sealed before it grows past this."                              },
    {"chunk_ms_max",            KN_CONF_U64,    AT(chunk_ms_max),            1000,    24 * 3600 * 1000, 600 * 1000,                NULL, NULL,
     "ms",                                                                                                                                              "A chunk file is sealed once its first fragment is this old."                    },
    {"part_bytes",              KN_CONF_U64,    AT(part_bytes),              KIB(4),  MIB(4),           KIB(256),                  NULL, NULL, "bytes",
     "Bytes of a fragment gathered before they are written."                                                                                                                                                                             },
    {"window_bytes_max",        KN_CONF_U64,    AT(window_bytes_max),        KIB(64), MIB(64),          KIB(512),                  NULL, NULL,
     "bytes",                                                                                                                                           "Unwritten bytes of one upload in memory; then its body is not read any further."},
    {"window_total_bytes_max",  KN_CONF_U64,    AT(window_total_bytes_max),  MIB(1),  GIB(64),          MIB(512),
     NULL,                                                                                                                               NULL, "bytes", "The same over all uploads."                                                     },
    {"linger_ms",               KN_CONF_U64,    AT(linger_ms),               0,       50,               50,                        NULL, NULL, "ms",
     "Most that a commit waits for others to be flushed with; two fifths of it when few do."                                                                                                                                             },
    {"volume_free_bytes_min",   KN_CONF_U64,    AT(volume_free_bytes_min),   0,       GIB(1024),        MIB(512),                  NULL,
     NULL,                                                                                                                                     "bytes",
     "Uploads and records are refused while the volume has less free space than this."                                                                                                                                                   },
    {"volume_margin_bytes",     KN_CONF_U64,    AT(volume_margin_bytes),     0,       GIB(1024),        MIB(512),                  NULL,
     NULL,                                                                                                                                     "bytes",
     "With less than the floor and this free, the oldest chunks and segments of all streams go. 0: "
     "never."                                                                                                                                                                                                                            },
    {"stream_bytes_max",        KN_CONF_U64,    AT(stream_bytes_max),        0,       GIB(1024 * 1024), 0,                         NULL, NULL,
     "bytes",                                                                                                                                           "Most that a stream keeps on disk, unless it has a limit of its own. 0: all."    },
    {"ballast_bytes",           KN_CONF_U64,    AT(ballast_bytes),           0,       GIB(4),           MIB(64),                   NULL, NULL, "bytes",
     "Size of a file that is released when the volume is full, so that deletion can go on."                                                                                                                                              },
    {"catalogue_bytes_max",     KN_CONF_U64,    AT(catalogue_bytes_max),     MIB(16), GIB(1024),        GIB(16),                   NULL,
     NULL,                                                                                                                                     "bytes", "Address space of the catalogue; not taken on disk until used."                  },
    {"open_chunks_max",         KN_CONF_U64,    AT(open_chunks_max),         1,       65536,            256,                       NULL, NULL, "count",
     "Sealed chunk files kept open for reading."                                                                                                                                                                                         },
    {"directory_bytes_max",     KN_CONF_U64,    AT(directory_bytes_max),     MIB(1),  GIB(64),          MIB(256),                  NULL,
     NULL,                                                                                                                                     "bytes",
     "Memory for the lists of old chunk files; those not used for longest are read again."                                                                                                                                               },
    {"retention_slice_chunks",  KN_CONF_U64,    AT(retention_slice_chunks),  1,       10000,            32,                        NULL, NULL,
     "count",                                                                                                                                           "Chunk files removed in one go before other work is let through."                },
    {"retention_interval_ms",   KN_CONF_U64,    AT(retention_interval_ms),   100,     3600 * 1000,      30 * 1000,
     NULL,                                                                                                                               NULL, "ms",    "Time between two rounds of retention."                                          },
    {"memory_stream_bytes_max", KN_CONF_U64,    AT(memory_stream_bytes_max), MIB(1),  GIB(16),          MIB(200),
     NULL,                                                                                                                               NULL, "bytes",
     "Most that a stream with retention 0 keeps in memory; the chunk being written, a sixteenth of "
     "it, may come on top."                                                                                                                                                                                                              },
    {"memory_stream_ms_max",    KN_CONF_U64,    AT(memory_stream_ms_max),    1000,    3600 * 1000,      300 * 1000,
     NULL,                                                                                                                               NULL, "ms",    "Longest that a stream with retention 0 keeps a fragment in memory."             },
};
const size_t storage_conf_key_count = KN_ARRAY_LEN(storage_conf_keys);
