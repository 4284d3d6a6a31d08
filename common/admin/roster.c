/* roster.c - see roster.h. Read on_timer, then on_looked. */
#include "common/admin/roster.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/json/json_text.h"
#include "common/base/clock.h"
#include "common/bus/cluster/about.h"
#include "common/bus/ask.h"
#include "common/bus/bus.h"
#include "common/bus/partition.h"
#include "common/bus/cluster/heartbeats.h"
#include "common/bus/cluster/liveness.h"

enum { LOOK_MS = 250 };

struct member {
    char id[LIVENESS_ID_MAX];
    int64_t connections;
    struct about_row about;
    struct roster *roster;
};

struct roster {
    struct bus *bus;
    enum roster_kind kind;
    uint64_t until_ms;
    roster_fn *fn;
    void *ctx;
    struct liveness *pulse;
    struct heartbeats *heartbeats;
    uv_timer_t timer;
    unsigned outstanding; /* questions without an answer */
    bool is_concluding;
    bool is_refused; /* a write, while we looked */
    bool is_over;    /* fn was called or is not wanted any more */
    struct member *members;
    size_t member_count;
};

/* --- the end --- */

static void on_timer_closed(uv_handle_t *handle) {
    struct roster *r = container_of((uv_timer_t *)handle, struct roster, timer);
    heartbeats_free(r->heartbeats);
    liveness_free(r->pulse);
    free(r->members);
    free(r);
}

static void free_when_idle(struct roster *r) {
    if (r->is_over && r->outstanding == 0 && !uv_is_closing((uv_handle_t *)&r->timer))
        uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

void roster_cancel(struct roster *r) {
    if (r == NULL)
        return;
    r->is_over = true;
    uv_timer_stop(&r->timer);
    free_when_idle(r);
}

static bool has_moved(const struct roster *r, const char *id);

static void answer(struct roster *r, int status) {
    struct roster_row *rows = mem_zalloc((r->member_count + 1) * sizeof(*rows));
    size_t count = status < 0 ? 0 : r->member_count;
    for (size_t i = 0; i < count; i++)
        rows[i] = (struct roster_row){.id = r->members[i].id,
                                      .is_alive = has_moved(r, r->members[i].id),
                                      .is_known = !r->is_refused || has_moved(r, r->members[i].id),
                                      .connections = r->members[i].connections,
                                      .about = &r->members[i].about};
    r->is_over = true;
    uv_timer_stop(&r->timer);
    r->fn(r->ctx, status, rows, count);
    free(rows);
    free_when_idle(r);
}

/* --- who is alive --- */

static void look_at_one(void *ctx, const struct liveness_one *one) {
    bool *has_moved = ctx;
    *has_moved &= !one->is_listed || one->has_moved;
}

static bool have_all_moved(const struct roster *r) {
    bool have_moved = true;
    liveness_each(r->pulse, look_at_one, &have_moved);
    return have_moved;
}

static bool has_moved(const struct roster *r, const char *id) {
    return liveness_has_moved(r->pulse, bytes_str(id));
}

/* --- what a member says of itself; connections of a gateway: the sizes of its sets in all
 * partitions --- */

static void on_part(struct roster *r, int status) {
    r->outstanding--;
    if (r->is_over)
        free_when_idle(r);
    else if (r->outstanding == 0)
        answer(r, status);
}

static void on_about(void *ctx, int status, const struct about_row *row) {
    struct member *m = ctx;
    m->about = *row;
    on_part(m->roster, status);
}

static void on_size(void *ctx, const struct ask_answer *a) {
    struct member *m = ctx;
    m->connections += a->number;
    on_part(m->roster, a->is_lost ? -ENOTCONN : 0);
}

static void ask_about(struct roster *r) {
    for (size_t i = 0; i < r->member_count; i++) {
        r->outstanding++;
        about_ask(r->bus, r->members[i].id, on_about, &r->members[i]);
    }
}

static void ask_sizes(struct roster *r) {
    for (size_t i = 0; i < r->member_count; i++) {
        r->members[i].connections = 0;
        for (unsigned p = 0; p < bus_partitions(r->bus); p++) {
            r->outstanding++;
            ask_connections(r->bus, p, r->members[i].id, on_size, &r->members[i]);
        }
    }
}

/* --- looking --- */

static int compare_members(const void *a, const void *b) {
    return strcmp(((const struct member *)a)->id, ((const struct member *)b)->id);
}

static void add_member(void *ctx, const struct liveness_one *one) {
    struct roster *r = ctx;
    if (!one->is_listed)
        return;
    r->members = mem_realloc(r->members, (r->member_count + 1) * sizeof(*r->members));
    struct member *m = &r->members[r->member_count++];
    *m = (struct member){.roster = r, .connections = -1};
    memcpy(m->id, one->id, sizeof(m->id));
}

static void conclude(struct roster *r) {
    r->is_concluding = true;
    liveness_each(r->pulse, add_member, r);
    if (r->member_count > 0)
        qsort(r->members, r->member_count, sizeof(*r->members), compare_members);
    if (r->kind == ROSTER_GATEWAYS)
        ask_sizes(r);
    ask_about(r);
    if (r->member_count == 0)
        answer(r, 0);
}

static void on_looked(void *ctx) {
    struct roster *r = ctx;
    bool is_enough = have_all_moved(r) || clock_ms() >= r->until_ms;
    if (!r->is_over && !r->is_concluding && is_enough)
        conclude(r);
}

static void on_refused(void *ctx) {
    struct roster *r = ctx;
    if (!r->is_over && !r->is_concluding)
        answer(r, -EIO);
}

static void on_tried(void *ctx, bool is_taken) {
    struct roster *r = ctx;
    r->outstanding--;
    r->is_refused = r->is_refused || !is_taken;
    free_when_idle(r);
}

static void on_timer(uv_timer_t *timer) {
    struct roster *r = container_of(timer, struct roster, timer);
    if (!bus_can_send(r->bus))
        answer(r, -ENOTCONN);
    if (r->is_over || r->is_concluding)
        return;
    r->outstanding++;
    heartbeats_try(r->bus, on_tried, r);
    heartbeats_look(r->heartbeats);
}

struct roster *roster_look(struct bus *bus, enum roster_kind kind, uint64_t patience_ms,
                           roster_fn *fn, void *ctx) {
    static const struct heartbeats_events events = {.on_looked = on_looked,
                                                    .on_refused = on_refused};
    enum fleet_key key = kind == ROSTER_GATEWAYS ? KEY_GATEWAYS : KEY_BROKERS;
    struct roster *r = mem_zalloc(sizeof(*r));
    *r = (struct roster){.bus = bus,
                         .kind = kind,
                         .until_ms = clock_ms() + patience_ms,
                         .fn = fn,
                         .ctx = ctx,
                         .pulse = liveness_new()};
    r->heartbeats = heartbeats_new(bus, key, r->pulse, &events, r);
    MUST(uv_timer_init(bus_loop(bus), &r->timer) == 0);
    MUST(uv_timer_start(&r->timer, on_timer, 0, LOOK_MS) == 0);
    return r;
}

const char *roster_state(const struct roster_row *row) {
    if (!row->is_known)
        return "unknown";
    if (!row->is_alive)
        return "silent";
    return *row->about->state != '\0' ? row->about->state : "alive";
}

static void append_member(struct buf *out, const char *name, const char *text) {
    buf_printf(out, ",\"%s\":", name);
    json_append_string(out, bytes_str(text));
}

static void append_listen(struct buf *out, const char *text) {
    struct bytes rest = bytes_str(text);
    buf_append_str(out, ",\"listen\":[");
    for (bool is_first = true; rest.len > 0; is_first = false) {
        if (!is_first)
            buf_append_char(out, ',');
        json_append_string(out, bytes_split(&rest, ' '));
    }
    buf_append_char(out, ']');
}

static void append_about(struct buf *out, const struct roster_row *row) {
    append_member(out, "state", roster_state(row));
    if (row->connections >= 0)
        append_listen(out, row->about->listen);
    append_member(out, "admin", row->about->admin);
    append_member(out, "host", row->about->host);
    buf_printf(out, ",\"pid\":%" PRId64, row->about->pid);
    append_member(out, "version", row->about->version);
}

void roster_write_json(struct buf *out, const struct roster_row *rows, size_t count) {
    buf_append_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        const struct roster_row *row = &rows[i];
        buf_append_str(out, i > 0 ? ",{\"id\":" : "{\"id\":");
        json_append_string(out, bytes_str(row->id));
        buf_printf(out, ",\"alive\":%s",
                   !row->is_known  ? "null"
                   : row->is_alive ? "true"
                                   : "false");
        if (row->connections >= 0)
            buf_printf(out, ",\"connections\":%" PRId64, row->connections);
        if (*row->about->state != '\0')
            append_about(out, row);
        buf_append_char(out, '}');
    }
    buf_append_char(out, ']');
}
