/* receipt_ids.c - see receipt_ids.h. */
#include "broker/entry/receipt_ids.h"

#include <stdlib.h>
#include <utlist.h>

#include "broker/broker.h"
#include "common/bus/log/publish.h"

struct receipt_ids {
    struct receipt_ids *prev, *next;
    unsigned slot;
    struct message_id id;
    char *token;
};

void receipt_ids_add(struct broker *b, unsigned slot, const struct message *m,
                     struct message_id id) {
    if (m->kind != MESSAGE_DATA || (m->flags & FLAG_RECEIPT) == 0 || m->from.len == 0)
        return;
    struct receipt_ids *p = mem_zalloc(sizeof(*p));
    p->slot = slot;
    p->id = id;
    p->token = bytes_dup(m->from);
    DL_APPEND(b->published, p);
}

static void end(struct broker *b, unsigned slot, bool is_committed) {
    struct receipt_ids *p, *next;
    DL_FOREACH_SAFE (b->published, p, next) {
        if (p->slot != slot)
            continue;
        if (is_committed)
            publish_receipt_id(b->bus, bytes_str(p->token), p->id);
        DL_DELETE(b->published, p);
        free(p->token);
        free(p);
    }
}

void receipt_ids_committed(struct broker *b, unsigned slot) {
    end(b, slot, true);
}

void receipt_ids_lost(struct broker *b, unsigned slot) {
    end(b, slot, false);
}
