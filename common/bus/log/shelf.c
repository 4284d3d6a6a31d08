/* shelf.c - see shelf.h. */
#include "common/bus/log/shelf.h"

#include "common/base/metrics.h"
#include "common/bus/bus_send.h"
#include "common/bus/redis/capacity.h"
#include "common/bus/redis/reply.h"

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

void shelf_read(struct shelf *history, struct shelf *kept, const struct history_bounds *bounds,
                const struct redisReply *reply) {
    struct history *h = &history->history;
    struct message_id first;
    history_deinit(&history->history);
    history_deinit(&kept->history);
    for (size_t i = 1; i < reply_count(reply); i++) {
        struct bytes text = reply_bytes(reply_at(reply, i));
        int64_t messages = reply_number(reply_at(reply, i + 1), 0);
        int64_t bytes = reply_number(reply_at(reply, i + 2), 0);
        if (bytes_equal(text, BYTES_LIT("kept"))) {
            h = &kept->history;
            continue;
        }
        if (message_id_parse(text, &first) && messages > 0 && bytes > 0)
            history_add(h, bounds, first, (uint64_t)messages, (size_t)bytes);
        i += 2;
    }
}
