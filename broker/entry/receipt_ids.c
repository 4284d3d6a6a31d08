/* receipt_ids.c - see receipt_ids.h. */
#include "broker/entry/receipt_ids.h"

#include <stdlib.h>
#include <utlist.h>

#include "broker/entry/processing.h"
#include "common/bus/log/publish.h"

struct receipt_id {
    struct receipt_id *prev, *next;
    struct message_id id;
    char *token;
};

void receipt_ids_add(struct batch *batch, const struct message *m, struct message_id id) {
    if ((m->kind != MESSAGE_DATA && m->kind != MESSAGE_GROUPS) || (m->flags & FLAG_RECEIPT) == 0 ||
        m->from.len == 0)
        return;
    struct receipt_id *r = mem_zalloc(sizeof(*r));
    r->id = id;
    r->token = bytes_dup(m->from);
    DL_APPEND(batch->receipt_ids, r);
}

void receipt_ids_committed(struct batch *batch, struct bus *bus) {
    struct receipt_id *r;
    DL_FOREACH(batch->receipt_ids, r)
    publish_receipt_id(bus, bytes_str(r->token), r->id);
    receipt_ids_lost(batch);
}

void receipt_ids_lost(struct batch *batch) {
    struct receipt_id *r, *next;
    DL_FOREACH_SAFE (batch->receipt_ids, r, next) {
        free(r->token);
        free(r);
    }
    batch->receipt_ids = NULL;
}
