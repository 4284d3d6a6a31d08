/*
 * broker_room.h - for tests: a Redis of the test's own, an app, and the parts that the processing
 * of an entry uses. The slot is partition 0 under term ROOM_TERM, unless room->slot says otherwise.
 */
#ifndef SIGNALBOX_TESTS_BROKER_BROKER_ROOM_H
#define SIGNALBOX_TESTS_BROKER_BROKER_ROOM_H

#include "broker/entry/processing.h"
#include "common/bus/log/trace.h"
#include "tests/common/bus/bus_room.h"

enum { ROOM_TERM = 1000, ROOM_PARTITIONS = 4 };

struct broker_room {
    struct bus_room bus_room;
    struct bus *bus;
    char folder[64];
    struct app_environment environment;
    struct app *app;
    struct trace trace;
    struct entry_parts parts;
    struct batch batch;
    unsigned slot;
    uint64_t cursor; /* of what broker_room_log committed */
    unsigned answers;
    struct buf told;  /* what broker_room_log and broker_room_in returned last, */
    uint64_t told_ms; /* and the time of its last line */
};

/* app: the text of app.lua. host may be NULL. */
void broker_room_init(struct broker_room *room, const char *app, const struct app_host *host);
void broker_room_deinit(struct broker_room *room);
/* The i-th Name (from 0) that lies in a partition; static for each i. */
struct bytes broker_room_name(unsigned partition, unsigned i);
/* As read from `in` under the id ms-0. */
struct in_entry *broker_room_entry(const struct entry *e, uint64_t ms);
/* To process it; the caller frees the entry with in_entry_unref. */
struct processing broker_room_begin(struct broker_room *room, struct in_entry *entry);

/* What has come into the log of a Name ("": of every Name) since it was asked for last, once what
 * the batch holds is committed. A line for each message:
 *
 *     <kind> [groups=<a,b>] [clients=<a,b>] [conn=<value>] [from=<id>] [flags=<number>] [<data>]
 *
 * A close has its code before its reason. */
const char *broker_room_log(struct broker_room *room, struct bytes name);
/* The same for `in` of a partition, once what the batch forwards is there. A line for each entry:
 *
 *     <kind> [name=<name>] [names=<a,b>] [groups=…] [clients=…] [conn=…] [from=…] [flags=…] [<body>]
 *
 * names, groups and clients are shown as soon as they are given: "clients=" addresses nobody. */
const char *broker_room_in(struct broker_room *room, unsigned partition);

#endif
