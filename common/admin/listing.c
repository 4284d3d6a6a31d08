/* listing.c - see listing.h. It asks for the Names first, and then for the connections of one Name
 * after the other. */
#include "common/admin/listing.h"

#include <stdlib.h>

#include "common/json/json_text.h"
#include "common/base/clock.h"
#include "common/base/fold.h"
#include "common/bus/cluster/registry.h"

enum { SAME_ID_MAX = 1000 /* Names of a partition in which one id is looked for */ };

struct listing {
    struct registry *registry;
    struct buf group, client_id;
    char **names;
    size_t *name_lens;
    size_t count, cap, at;
    const struct listing_events *events; /* NULL: forgotten */
    void *ctx;
};

static void end(struct listing *l, int status) {
    if (l->events != NULL)
        l->events->on_end(l->ctx, status);
    for (size_t i = 0; i < l->count; i++)
        free(l->names[i]);
    free(l->names);
    free(l->name_lens);
    buf_deinit(&l->group);
    buf_deinit(&l->client_id);
    free(l);
}

static void ask_next(struct listing *l);

static bool is_wanted(const struct listing *l, const struct registry_row *row) {
    struct conn_details d;
    if (l->client_id.len > 0 && !bytes_equal(row->client_id, buf_bytes(&l->client_id)))
        return false;
    if (l->group.len == 0)
        return true;
    conn_details_read(row->value, row->details, &d);
    bool is_it = fold_list_has(d.groups, buf_bytes(&l->group));
    conn_details_free(&d);
    return is_it;
}

static void give_rows(struct listing *l, const struct registry_row *rows, size_t count) {
    struct registry_row *wanted = mem_alloc((count + 1) * sizeof(*wanted));
    size_t wanted_count = 0;
    for (size_t i = 0; i < count; i++)
        if (is_wanted(l, &rows[i]))
            wanted[wanted_count++] = rows[i];
    if (wanted_count > 0)
        l->events->on_rows(l->ctx, wanted, wanted_count);
    free(wanted);
}

static void on_connections(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct listing *l = ctx;
    if (count > 0 && l->events != NULL)
        give_rows(l, rows, count);
    if (status < 0 || (status == 0 && l->events == NULL))
        end(l, status);
    else if (status == 0)
        ask_next(l);
}

static void ask_one(struct listing *l) {
    struct bytes name = bytes_of(l->names[l->at], l->name_lens[l->at]);
    l->at++;
    registry_list_in_parts(l->registry, name, on_connections, l);
}

static void ask_next(struct listing *l) {
    if (l->at == l->count)
        end(l, 0);
    else
        ask_one(l);
}

static void add_name(struct listing *l, struct bytes name) {
    if (l->count == l->cap) {
        l->cap = l->cap > 0 ? 2 * l->cap : 16;
        l->names = mem_realloc(l->names, l->cap * sizeof(*l->names));
        l->name_lens = mem_realloc(l->name_lens, l->cap * sizeof(*l->name_lens));
    }
    l->names[l->count] = bytes_dup(name);
    l->name_lens[l->count++] = name.len;
}

static void on_names(void *ctx, int status, const struct registry_row *rows, size_t count) {
    struct listing *l = ctx;
    for (size_t i = 0; i < count && l->events != NULL; i++)
        add_name(l, rows[i].name);
    if (status < 0 || (status == 0 && l->events == NULL))
        end(l, status);
    else if (status == 0)
        ask_next(l);
}

/* The connections with one client id, without a list of all. */
static void look_up(struct listing *l, struct bytes name) {
    if (bytes_is_empty(name))
        registry_find_id(l->registry, buf_bytes(&l->client_id), SAME_ID_MAX, on_connections, l);
    else
        registry_find(l->registry, name, buf_bytes(&l->client_id), on_connections, l);
}

struct listing *listing_start(struct registry *registry, const struct listing_filter *filter,
                              const struct listing_events *events, void *ctx) {
    struct listing *l = mem_zalloc(sizeof(*l));
    *l = (struct listing){.registry = registry, .events = events, .ctx = ctx};
    buf_append(&l->group, filter->group);
    buf_append(&l->client_id, filter->client_id);
    if (!bytes_is_empty(filter->client_id)) {
        look_up(l, filter->name);
        return l;
    }
    if (bytes_is_empty(filter->name)) {
        registry_names_in_parts(registry, on_names, l);
        return l;
    }
    add_name(l, filter->name);
    ask_one(l);
    return l;
}

void listing_forget(struct listing *l) {
    if (l != NULL)
        l->events = NULL;
}

/* --- JSON --- */

/* The data stands in Redis, where anything may have been written. */
static void write_data(struct buf *out, struct bytes data) {
    struct buf error = {0};
    struct json_document *document = data.len > 0 ? json_open(data, &error) : NULL;
    if (document != NULL) {
        buf_append_str(out, ",\"data\":");
        json_append_compact(out, json_root(document));
    }
    json_close(document);
    buf_deinit(&error);
}

static void write_details(struct buf *out, const struct registry_row *row) {
    struct conn_details d;
    conn_details_read(row->value, row->details, &d);
    buf_append_str(out, ",\"group\":");
    json_append_string(out, d.groups.count > 0 ? d.groups.items[0] : BYTES_LIT(""));
    buf_append_str(out, ",\"groups\":");
    json_append_strings(out, d.groups);
    write_data(out, d.data);
    conn_details_free(&d);
}

static void write_row(struct buf *out, const struct registry_row *row) {
    struct conn_value value;
    buf_append_str(out, "{\"name\":");
    json_append_string(out, row->name);
    buf_append_str(out, ",\"clientId\":");
    json_append_string(out, row->client_id);
    if (conn_value_parse(row->value, &value)) {
        char connected_at[32];
        clock_format_utc(value.connected_ms, connected_at);
        write_details(out, row);
        buf_append_str(out, ",\"gateway\":");
        json_append_string(out, value.gateway);
        buf_printf(out, ",\"connectedAt\":\"%s\",\"transport\":", connected_at);
        json_append_string(out, conn_value_transport(&value));
    }
    buf_append_char(out, '}');
}

void listing_write_rows(struct buf *out, const struct registry_row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        write_row(out, &rows[i]);
    }
}

void listing_write_names(struct buf *out, const struct registry_row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        json_append_string(out, rows[i].name);
    }
}
