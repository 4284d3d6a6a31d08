/*
 * books.h - what the people of a story sent, saw and were told: the evidence that check.c judges.
 * Whoever acts in a story writes here; nothing is ever removed.
 *
 * A message is known by its text, "m<number>", which is its place in books.sent.
 */
#ifndef SIGNALBOX_WORLD_BOOKS_H
#define SIGNALBOX_WORLD_BOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bus/log/envelope.h"

/* The Names: n0 … n7, and two that only listen. */
enum { NAME_COUNT = 8, NAME_AUDIT = NAME_COUNT, NAME_TICKS, NAME_ALL, NAME_EVERY = -1 };
extern const char *const book_names[NAME_ALL];
unsigned name_partition(int name);
int name_find(const char *text, size_t len); /* NAME_ALL: none of them */

enum { WORLD_PARTITIONS = 16, TOKEN_MAX = 32 };

enum reach { TO_NAME, TO_GROUP, TO_CLIENT, TO_EVERY };

struct sent {
    enum reach reach;
    int name;                  /* NAME_EVERY for TO_EVERY */
    char whom[TOKEN_MAX];      /* the group, the client id */
    char lane[TOKEN_MAX];      /* who sent it: what one lane sends to one Name keeps its order */
    uint64_t began_us;         /* it was given to the network then, for the first time */
    uint64_t accepted_us;      /* 0: nobody said so */
    uint64_t published_us;     /* for the first time, in the last of its partitions; 0: never */
    uint16_t partitions;       /* that have it, a bit each */
    bool is_kept;              /* it waited in the data that Redis fell back to last */
    bool is_refused;           /* the server said that it will never be published */
    const struct meeting *via; /* the connection that it was said on, or NULL */
    bool is_published;   /* by PUBLISH: whoever holds a lease sends it on, and may have lost it */
    unsigned by_gateway; /* a handler of this gateway, from 1, answered for it; 0: none */
};

struct got {
    uint64_t at_us;
    struct message_id id; /* 0-0: a plain client knows none */
    unsigned sent;
};

enum recovered { RECOVERED_NULL, RECOVERED_TRUE, RECOVERED_FALSE };

/* One WebSocket connection, or the attempt. */
struct meeting {
    char client[TOKEN_MAX], token[TOKEN_MAX], group[TOKEN_MAX]; /* group "": none that is real */
    unsigned who;                                               /* the client's number */
    int name;
    unsigned gateway;
    bool is_v1, is_local, is_deaf;          /* deaf: what it receives is not looked at */
    uint64_t began_us, opened_us, ended_us; /* 0: not */
    int code;                               /* of the server's Close; 1006: without one */
    bool is_own_end;                        /* the client ended it */
    struct message_id resumed, hello;
    bool has_hello, is_live;
    enum recovered recovered;
    struct got *got;
    size_t got_count, got_room;
};

static inline bool is_open(const struct meeting *m) {
    return m->opened_us != 0 && m->ended_us == 0;
}

/* What a broker published: seen in Redis itself. */
struct published {
    uint64_t at_us;
    struct message_id id, prev;
    int name;           /* NAME_EVERY: to all Names of the partition */
    unsigned partition; /* of the log */
    unsigned sent;      /* UINT32_MAX: none of ours */
};

struct happening { /* a Connect or a Disconnect */
    uint64_t at_us;
    bool is_connect;
    int name;
    char client[TOKEN_MAX], token[TOKEN_MAX], cause[TOKEN_MAX];
};

/* Redis gave up what was written between the two times. */
struct loss {
    uint64_t from_us, to_us;
};

struct books {
    struct sent *sent;
    size_t sent_count, sent_room;
    struct meeting **meetings; /* each stays where it is */
    size_t meeting_count, meeting_room;
    struct published *published;
    size_t published_count, published_room;
    struct happening *happenings;
    size_t happening_count, happening_room;
    struct loss losses[32];
    size_t loss_count;
    bool has_gateway_died[8];
    bool is_each_by_name;     /* nobody sends to every Name, but for the last word */
    char (*ticks)[TOKEN_MAX]; /* the minutes that they are of */
    size_t tick_count, tick_room;
};

extern struct books books;

/* Once, before anything of the story. most: so many messages, and no more; 0: any number. */
void books_begin(unsigned most);
bool books_are_full(void);
/* What stands in the keys of a partition, sb:{<tag>}:… */
const char *books_tag(unsigned partition);

unsigned books_send(enum reach reach, int name, const char *whom, const char *lane);
/* "m<number>" and a filler; for free(). */
char *books_text(unsigned sent, size_t filler);
bool books_parse(const char *text, size_t len, unsigned *sent_out);
void books_accept(unsigned sent);
struct meeting *books_meet(void);
void books_got(struct meeting *m, struct message_id id, unsigned sent);
void books_lose(uint64_t from_us, uint64_t to_us);

/* Hears every PUBLISH of the world's Redis. */
void books_on_publish(const char *channel, size_t channel_len, const char *payload, size_t len);

/* It has to be published: somebody said so, or whoever has it lives. */
bool is_due(const struct sent *s);
/* Whether the loss of data excuses that it is missing or twice there. */
bool is_excused(const struct sent *s);
bool is_any_loss(uint64_t from_us, uint64_t to_us);

/* Stops the story: an invariant is broken. The first one counts. */
void violate(const char *which, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *violation(void); /* NULL: none */

#endif
