/* receipts.c - see receipts.h. Connections are remembered by their number: one may be gone when the
 * turn ends. */
#include "gateway/delivery/receipts.h"

#include <stdlib.h>

#include "common/bus/log/publish.h"
#include "gateway/session/clients.h"
#include "gateway/conn/conn.h"
#include "gateway/session/client.h"

struct pending_receipt {
    TAILQ_ENTRY(pending_receipt) link;
    char *token;
    size_t matched, dropped;
    uint64_t *numbers; /* of the connections that have it in their queue */
    size_t count, cap;
};

void receipts_init(struct receipts *r, struct bus *bus, struct clients *clients) {
    *r = (struct receipts){.bus = bus, .clients = clients};
    TAILQ_INIT(&r->pending);
}

static void forget(struct receipts *r, struct pending_receipt *p) {
    TAILQ_REMOVE(&r->pending, p, link);
    free(p->token);
    free(p->numbers);
    free(p);
}

void receipts_deinit(struct receipts *r) {
    while (!TAILQ_EMPTY(&r->pending))
        forget(r, TAILQ_FIRST(&r->pending));
}

struct pending_receipt *receipts_begin(struct receipts *r, struct bytes token) {
    struct pending_receipt *p = mem_zalloc(sizeof(*p));
    p->token = bytes_dup(token);
    TAILQ_INSERT_TAIL(&r->pending, p, link);
    return p;
}

void receipts_add(struct pending_receipt *p, const struct client *client, bool was_dropped) {
    p->matched++;
    if (was_dropped) {
        p->dropped++;
        return;
    }
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? 16 : p->cap * 2;
        p->numbers = mem_realloc(p->numbers, p->cap * sizeof(*p->numbers));
    }
    p->numbers[p->count++] = client->who.number;
}

static void report(struct receipts *r, const struct pending_receipt *p) {
    struct receipt sum = {.matched = p->matched, .dropped = p->dropped};
    for (size_t i = 0; i < p->count; i++) {
        struct client *client = clients_by_number(r->clients, p->numbers[i]);
        if (client == NULL)
            sum.dropped++;
        else if (conn_is_written(client->conn))
            sum.written++;
        else
            sum.queued++;
    }
    publish_receipt(r->bus, bytes_str(p->token), &sum);
}

void receipts_report(struct receipts *r) {
    while (!TAILQ_EMPTY(&r->pending)) {
        report(r, TAILQ_FIRST(&r->pending));
        forget(r, TAILQ_FIRST(&r->pending));
    }
}
