/* cluster_check.c - see cluster_check.h. */
#include "common/bus/cluster_check.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/metrics.h"
#include "common/bus/ask.h"
#include "common/bus/bus_send.h"
#include "common/bus/redis/server_info.h"
#include "common/bus/redis/troubles.h"

struct cluster_check {
    struct bus *bus;
    bool is_asking; /* the last answer, about the owners, is to come */
    struct trouble writes, unowned;
};

struct cluster_check *cluster_check_new(struct bus *bus) {
    struct cluster_check *w = mem_zalloc(sizeof(*w));
    w->bus = bus;
    trouble_init(&w->writes, bus_troubles(bus), TROUBLE_writes, "");
    trouble_init(&w->unowned, bus_troubles(bus), TROUBLE_unowned, "");
    return w;
}

void cluster_check_free(struct cluster_check *w) {
    trouble_clear(&w->writes);
    trouble_clear(&w->unowned);
    free(w);
}

static void on_written(void *ctx, struct redisReply *reply) {
    struct cluster_check *w = ctx;
    if (reply_is_error(reply, NULL))
        trouble_raise(&w->writes, reply_bytes(reply));
    else if (reply != NULL)
        trouble_clear(&w->writes);
}

static void on_counted(void *ctx, const struct ask_answer *a) {
    struct cluster_check *w = ctx;
    int64_t all = bus_partitions(w->bus), owned = a->number;
    char why[64];
    w->is_asking = false;
    if (a->is_lost || a->is_refused || trouble_is_raised(&w->writes))
        return; /* refused, or no lease can be renewed: other troubles say so */
    metrics_set(METRIC_partitions_unowned, all - owned);
    snprintf(why, sizeof(why), "%" PRId64 " of %" PRId64, all - owned, all);
    if (owned < all)
        trouble_raise(&w->unowned, bytes_str(why));
    else
        trouble_clear(&w->unowned);
}

static int64_t number_of(struct bytes info, const char *name) {
    uint64_t number;
    return bytes_to_u64(server_info_value(info, name), &number) ? (int64_t)number : 0;
}

static void on_memory(void *ctx, const struct ask_answer *a) {
    struct cluster_check *w = ctx;
    if (!a->is_lost && !a->is_refused)
        bus_set_memory(w->bus, number_of(a->text, "used_memory"), number_of(a->text, "maxmemory"));
}

void cluster_check_ask(struct cluster_check *w) {
    if (w->is_asking)
        return;
    ask_info(w->bus, "memory", on_memory, w);
    struct command c = command_script(SCRIPT_probe_write, 1);
    command_text(&c, fleet_key(KEY_WAY));
    w->is_asking = true;
    bus_send(w->bus, BUS_FLEET, &c, on_written, w);
    ask_owned(w->bus, on_counted, w);
}
