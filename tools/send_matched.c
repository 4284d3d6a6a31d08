/* send_matched.c - for send --wait: counts the connections that the message was for, per gateway,
 * from the registry. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/admin/listing.h"
#include "common/app/json.h"
#include "common/bus/registry.h"
#include "tools/send.h"
#include "tools/verb.h"

struct gateway_count {
    char id[40];
    size_t count;
};

struct matched {
    struct send *send;
    struct gateway_count *gateways;
    size_t gateway_count, total;
};

static bool has_client(const struct send *s, struct bytes client_id) {
    for (size_t i = 0; i < s->clients.count; i++)
        if (bytes_equal_str(client_id, s->clients.items[i]))
            return true;
    return s->clients.count == 0;
}

static bool has_group(const struct send *s, struct bytes group) {
    for (size_t i = 0; i < s->groups.count; i++)
        if (bytes_equal_nocase(group, bytes_str(s->groups.items[i])))
            return true;
    return s->groups.count == 0;
}

static void count_at(struct matched *m, struct bytes gateway) {
    size_t i = 0;
    while (i < m->gateway_count && !bytes_equal_str(gateway, m->gateways[i].id))
        i++;
    if (i == m->gateway_count) {
        m->gateways = mem_realloc(m->gateways, (i + 1) * sizeof(*m->gateways));
        m->gateways[i].count = 0;
        snprintf(m->gateways[i].id, sizeof(m->gateways[i].id), "%.*s", BYTES_FMT(gateway));
        m->gateway_count++;
    }
    m->gateways[i].count++;
    m->total++;
}

static void on_rows(void *ctx, const struct registry_row *rows, size_t count) {
    struct matched *m = ctx;
    struct conn_value value;
    for (size_t i = 0; i < count; i++)
        if (conn_value_parse(rows[i].value, &value) && has_client(m->send, rows[i].client_id) &&
            has_group(m->send, value.group))
            count_at(m, value.gateway);
}

static void print_json(const struct matched *m) {
    printf("{\"id\":\"%s\",\"matched\":%zu,\"gateways\":[", m->send->entry, m->total);
    for (size_t i = 0; i < m->gateway_count; i++)
        printf("%s{\"id\":\"%s\",\"matched\":%zu}", i > 0 ? "," : "", m->gateways[i].id,
               m->gateways[i].count);
    puts("]}");
}

static void print_text(const struct matched *m) {
    if (m->total == 0)
        puts("nobody was connected");
    for (size_t i = 0; i < m->gateway_count; i++)
        printf("matched %zu at gateway %s\n", m->gateways[i].count, m->gateways[i].id);
}

static void on_end(void *ctx, int status) {
    struct matched *m = ctx;
    struct tool *t = m->send->tool;
    if (status < 0) {
        tool_end_lost(t);
    } else {
        if (t->is_json)
            print_json(m);
        else
            print_text(m);
        tool_end(t, m->total > 0 ? TOOL_OK : TOOL_NOBODY);
    }
    free(m->gateways);
    free(m);
}

void send_matched_start(struct send *s) {
    static const struct listing_events events = {on_rows, on_end};
    struct matched *m = mem_zalloc(sizeof(*m));
    m->send = s;
    (void)listing_start(s->tool->registry, bytes_str(s->name), BYTES_NONE, &events, m);
}
