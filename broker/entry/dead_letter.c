/* dead_letter.c - see dead_letter.h. */
#include "broker/entry/dead_letter.h"

#include "broker/entry/processing.h"
#include "common/base/log.h"
#include "common/base/metrics.h"
#include "common/bus/log/rejects.h"

static void keep(struct bus *bus, unsigned partition, const char *reason, struct bytes entry,
                 struct bytes text) {
    const struct bytes fields[] = {
        BYTES_LIT("reason"), bytes_str(reason), BYTES_LIT("entry"), entry, BYTES_LIT("m"), text};
    metrics_add(METRIC_dead_letters, 1);
    rejects_add_dead_letter(bus, partition, fields, ARRAY_LEN(fields));
}

void dead_letter(const struct processing *p, const char *reason) {
    const struct in_entry *e = p->entry;
    log_error("dead_letter", "gave_up partition=%u entry=%s kind=%s reason=\"%s\"", p->slot,
              e->id_text, e->is_bad ? "unknown" : entry_kind_text(e->entry.kind), reason);
    keep(p->parts->bus, p->slot, reason, bytes_str(e->id_text), e->text);
}

void dead_letter_stray(struct bus *bus, unsigned partition, struct bytes field,
                       struct bytes value) {
    log_error("dead_letter",
              "dropped_strange partition=%u field=%s: w holds only what brokers defer", partition,
              LOG_TEXT(field));
    keep(bus, partition, "not set aside by a broker", field, value);
}
