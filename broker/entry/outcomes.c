/* outcomes.c - see outcomes.h. */
#include "broker/entry/outcomes.h"

#include <stdlib.h>
#include <utlist.h>

#include "broker/entry/processing.h"
#include "common/bus/log/publish.h"

struct entry_outcome {
    struct entry_outcome *prev, *next;
    int status;
    struct message_id id;
    char *reply, *text;
};

void outcomes_add(struct processing *p, int status, struct bytes text) {
    struct bytes reply = p->entry->entry.reply;
    if (reply.len == 0 || p->has_outcome)
        return;
    struct entry_outcome *o = mem_zalloc(sizeof(*o));
    p->has_outcome = true;
    o->status = status;
    o->id = p->first_id;
    o->reply = bytes_dup(reply);
    o->text = bytes_dup(text);
    DL_APPEND(p->batch->outcomes, o);
}

void outcomes_committed(struct batch *batch, struct bus *bus) {
    struct entry_outcome *o;
    DL_FOREACH(batch->outcomes, o)
    publish_outcome(bus, bytes_str(o->reply), o->status, o->id, bytes_str(o->text));
    outcomes_lost(batch);
}

void outcomes_lost(struct batch *batch) {
    struct entry_outcome *o, *next;
    DL_FOREACH_SAFE (batch->outcomes, o, next) {
        free(o->reply);
        free(o->text);
        free(o);
    }
    batch->outcomes = NULL;
}
