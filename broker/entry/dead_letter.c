/* dead_letter.c - see dead_letter.h. */
#include "broker/entry/dead_letter.h"

#include "broker/broker.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/log/entry_reader.h"
#include "common/bus/cluster/lease.h"
#include "common/bus/log/rejects.h"
#include "common/bus/partition.h"

void dead_letter(struct broker *b, unsigned slot, const struct in_entry *entry,
                 const char *reason) {
    struct buf key = {0};
    log_error("inbox", "gave_up partition=%u entry=%s kind=%s reason=\"%s\"", slot, entry->id_text,
              entry->is_bad ? "unknown" : entry_kind_text(entry->entry.kind), reason);
    metrics_add(METRIC_dead_letters, 1);
    if (slot == lease_public(b->lease))
        buf_append_str(&key, fleet_key(KEY_PUBLIC_DEAD_LETTERS));
    else
        key_of(&key, slot, "dl", BYTES_NONE);
    const struct bytes fields[] = {BYTES_LIT("reason"),       bytes_str(reason), BYTES_LIT("entry"),
                                   bytes_str(entry->id_text), BYTES_LIT("m"),    entry->text};
    rejects_add(b->bus, buf_bytes(&key), fields, ARRAY_LEN(fields));
    buf_deinit(&key);
}
