/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of damage; see damage.h. */
#include "damage.h"

#include "core/log.h"
#include "core/metrics.h"

static struct kn_metric_family damage = {
    .kind = KN_COUNTER,
    .name = "kinema_shard_damage_total",
    .help = "Stretches of damaged bytes met in the logs of shards; what lies behind is read.",
    .labels = {"where"},
};

static const char *const place_text[STORAGE_SHARD_PLACES] = {
    [STORAGE_SHARD_IN_JOURNAL] = "journal",
    [STORAGE_SHARD_IN_SEGMENT] = "segment",
};

void storage_shard_damaged(enum storage_shard_place place, const struct storage_id *shard,
                           uint64_t number, uint64_t at, uint64_t bytes)
{
    char text[STORAGE_ID_TEXT_BYTES] = "-";
    struct kn_str where = kn_str_from(place_text[place]);
    if (shard)
        storage_id_text(shard, text);
    kn_metric_add(kn_metric_series(&damage, &where), 1);
    kn_log_error("shard_damaged",
                 "in=%s shard=%s number=%" PRIu64 " at=%" PRIu64 " bytes=%" PRIu64
                 " said=\"acknowledged records are lost, those behind them are read\"",
                 place_text[place], text, number, at, bytes);
}
