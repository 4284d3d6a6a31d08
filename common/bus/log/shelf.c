/* shelf.c - see shelf.h. */
#include "common/bus/log/shelf.h"

#include "common/base/metrics.h"
#include "common/bus/bus_send.h"
#include "common/bus/redis/capacity.h"

/* Until Redis has room again: the histories that are there stay what they are, those of ever new
 * Names do not fill it. */
static bool is_late(struct shelf *s, const struct bus *bus) {
    if (!bus_is_tight(bus))
        s->is_late = false;
    else if (s->history.bytes == 0)
        s->is_late = true;
    return s->is_late;
}

/* While Redis is nearly full new histories are shorter, and what is larger than one is not kept. */
bool shelf_add(struct shelf *s, struct bus *bus, const struct history_bounds *bounds,
               const struct shelf_item *item) {
    struct history_bounds now = *bounds;
    size_t before = s->history.bytes, len = item->len + HISTORY_ENTRY_BYTES;
    if (is_late(s, bus))
        now.bytes = bus_history_share(bus, bounds->bytes);
    if ((item->len >= CAPACITY_LARGE && bus_is_tight(bus)) ||
        (len > now.bytes && now.bytes < bounds->bytes)) {
        metrics_add(METRIC_messages_not_kept, 1);
        return false;
    }
    history_add(&s->history, &now, item->id, 1, len);
    if (item->is_sure)
        bus_add_memory(bus, (int64_t)s->history.bytes - (int64_t)before);
    return true;
}
