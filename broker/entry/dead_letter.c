/* dead_letter.c - see dead_letter.h. */
#include "broker/entry/dead_letter.h"

#include "broker/entry/processing.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/log/rejects.h"
#include "common/bus/partition.h"

static void keep(struct bus *bus, struct bytes key, const char *reason, struct bytes entry,
                 struct bytes text) {
    const struct bytes fields[] = {
        BYTES_LIT("reason"), bytes_str(reason), BYTES_LIT("entry"), entry, BYTES_LIT("m"), text};
    metrics_add(METRIC_dead_letters, 1);
    rejects_add(bus, key, fields, ARRAY_LEN(fields));
}

void dead_letter(const struct processing *p, const char *reason) {
    const struct in_entry *e = p->entry;
    struct buf key = {0};
    log_error("dead_letter", "gave_up partition=%u entry=%s kind=%s reason=\"%s\"", p->slot,
              e->id_text, e->is_bad ? "unknown" : entry_kind_text(e->entry.kind), reason);
    if (p->is_public)
        buf_append_str(&key, fleet_key(KEY_PUBLIC_DEAD_LETTERS));
    else
        key_of(&key, p->slot, "dl", BYTES_NONE);
    keep(p->parts->bus, buf_bytes(&key), reason, bytes_str(e->id_text), e->text);
    buf_deinit(&key);
}

void dead_letter_stray(struct bus *bus, unsigned partition, struct bytes field,
                       struct bytes value) {
    struct buf key = {0};
    log_error("dead_letter",
              "dropped_strange partition=%u field=%s: w holds only what brokers defer", partition,
              LOG_TEXT(field));
    keep(bus, key_of(&key, partition, "dl", BYTES_NONE), "not set aside by a broker", field, value);
    buf_deinit(&key);
}
