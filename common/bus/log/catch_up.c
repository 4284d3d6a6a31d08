/* catch_up.c - see catch_up.h. */
#include "common/bus/log/catch_up.h"

#include <stdlib.h>
#include <string.h>

#include "common/bus/bus.h"
#include "common/bus/redis/paging.h"

/* --- turns --- */

void catch_ups_init(struct catch_ups *all, struct bus *bus, void (*start)(struct catch_up *c)) {
    *all = (struct catch_ups){.bus = bus, .start = start};
    TAILQ_INIT(&all->queue);
    MUST(uv_timer_init(bus_loop(bus), &all->pause) == 0);
}

/* What Redis does not answer to one reader, it does not answer to five hundred at once either. */
static unsigned running_max(const struct catch_ups *all) {
    const struct paging *p = bus_paging(all->bus);
    unsigned most = CATCH_UPS_MAX * p->most / p->top;
    return most > 0 ? most : 1;
}

void catch_ups_start(struct catch_ups *all) {
    struct catch_up *c;
    while (!all->is_pausing && bus_is_on_one_server(all->bus) && all->running < running_max(all) &&
           (c = TAILQ_FIRST(&all->queue)) != NULL) {
        TAILQ_REMOVE(&all->queue, c, link);
        all->running++;
        all->start(c);
    }
}

void catch_ups_add(struct catch_ups *all, struct catch_up *c) {
    TAILQ_INSERT_TAIL(&all->queue, c, link);
    catch_ups_start(all);
}

void catch_ups_remove(struct catch_ups *all, struct catch_up *c) {
    TAILQ_REMOVE(&all->queue, c, link);
}

void catch_ups_done(struct catch_ups *all) {
    all->running--;
}

static void on_pause_over(uv_timer_t *timer) {
    struct catch_ups *all = container_of(timer, struct catch_ups, pause);
    all->is_pausing = false;
    catch_ups_start(all);
}

void catch_ups_retry(struct catch_ups *all, struct catch_up *c) {
    all->is_pausing = true;
    uv_timer_start(&all->pause, on_pause_over, CATCH_UP_PAUSE_MS, 0);
    TAILQ_INSERT_TAIL(&all->queue, c, link);
}

/* --- held messages --- */

void catch_up_init_held(struct held_messages *h) {
    *h = (struct held_messages){.bytes = 0};
    STAILQ_INIT(&h->list);
}

struct held_message *catch_up_take_held(struct held_messages *h) {
    struct held_message *one = STAILQ_FIRST(&h->list);
    if (one == NULL)
        return NULL;
    STAILQ_REMOVE_HEAD(&h->list, link);
    h->bytes -= one->len;
    return one;
}

struct held_message *catch_up_take_held_before(struct held_messages *h, struct message_id id) {
    const struct held_message *first = STAILQ_FIRST(&h->list);
    bool is_before = first != NULL && message_id_compare(first->id, id) < 0;
    return is_before ? catch_up_take_held(h) : NULL;
}

static void drop_all(struct held_messages *h) {
    struct held_message *one;
    while ((one = catch_up_take_held(h)) != NULL)
        free(one);
}

void catch_up_drop_held(struct held_messages *h) {
    drop_all(h);
    h->has_overflowed = false;
}

void catch_up_hold(struct held_messages *h, enum which_log log, struct message_id id,
                   struct bytes blob) {
    if (h->has_overflowed || h->bytes + blob.len > HELD_BYTES_MAX) {
        drop_all(h);
        h->has_overflowed = true;
        return;
    }
    struct held_message *one = mem_alloc(sizeof(*one) + blob.len);
    *one = (struct held_message){.log = log, .id = id, .len = blob.len};
    if (blob.len > 0)
        memcpy(one->blob, blob.ptr, blob.len);
    STAILQ_INSERT_TAIL(&h->list, one, link);
    h->bytes += blob.len;
}
