/* conns.h - what conn.c and conns.c share; everybody else uses conn.h. */
#ifndef SIGNALBOX_GATEWAY_CONN_CONNS_H
#define SIGNALBOX_GATEWAY_CONN_CONNS_H

struct conn;
struct conns;

void conns_add(struct conns *set, struct conn *c);
void conns_remove(struct conns *set, struct conn *c);
void conns_mark_dirty(struct conns *set, struct conn *c);
void conns_add_deadline(struct conns *set, struct conn *c);
/* FINISHING is over its time: who reads what is queued gets more of it. */
void conn_finish_or_drop(struct conn *c);

#endif
