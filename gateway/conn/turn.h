/*
 * turn.h - what happens to all connections once a turn of the loop.
 *
 *     timers: mark what is due ▶ poll: sockets are heard ▶ judge: deadlines, sweep ▶ flush: write
 *
 * What is due is judged after the poll of the same turn: a process that was held up finds its
 * timers due and its clients' answers unread at the same moment, and has to hear the answers first.
 * The sweep goes round a part of the connections at a time, so that many of them cost no pause.
 */
#ifndef SIGNALBOX_GATEWAY_CONN_TURN_H
#define SIGNALBOX_GATEWAY_CONN_TURN_H

struct conns;

/* After conns_init. */
void turn_start(struct conns *set);
/* Before conns_deinit; the loop must run once more. */
void turn_stop(struct conns *set);

#endif
