/* books.c - see books.h. */
#include "tests/world/story/books.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus/partition.h"
#include "tests/world/sim.h"

struct books books;
static char verdict[512];
static unsigned most_messages;
static char tags[WORLD_PARTITIONS][8];

const char *const book_names[NAME_ALL] = {"n0", "n1", "n2", "n3",    "n4",
                                          "n5", "n6", "n7", "Audit", "Ticks"};

void books_begin(unsigned most) {
    most_messages = most;
    partition_init(WORLD_PARTITIONS);
    for (unsigned p = 0; p < WORLD_PARTITIONS; p++)
        snprintf(tags[p], sizeof(tags[p]), "%s", partition_tag(p));
}

bool books_are_full(void) {
    return most_messages != 0 && books.sent_count >= most_messages;
}

const char *books_tag(unsigned partition) {
    return tags[partition];
}

unsigned name_partition(int name) {
    return partition_of(bytes_of(book_names[name], strlen(book_names[name])), WORLD_PARTITIONS);
}

int name_find(const char *text, size_t len) {
    int name = 0;
    while (name < NAME_ALL &&
           (strlen(book_names[name]) != len || memcmp(book_names[name], text, len) != 0))
        name++;
    return name;
}

/* Room for one more element; the array may move. */
static void *grow(void *array, size_t count, size_t *room, size_t size) {
    if (count < *room)
        return array;
    *room = 2 * *room + 64;
    return realloc(array, *room * size);
}

void violate(const char *which, const char *format, ...) {
    if (verdict[0] != '\0')
        return;
    va_list args;
    va_start(args, format);
    int head = snprintf(verdict, sizeof(verdict), "%s ", which);
    vsnprintf(verdict + head, sizeof(verdict) - (size_t)head, format, args);
    va_end(args);
    sim_log("VIOLATED", "%s", verdict);
    sim_stop();
}

const char *violation(void) {
    return verdict[0] == '\0' ? NULL : verdict;
}

/* ---- messages */

unsigned books_send(enum reach reach, int name, const char *whom, const char *lane) {
    books.sent = grow(books.sent, books.sent_count, &books.sent_room, sizeof(struct sent));
    struct sent *s = &books.sent[books.sent_count];
    *s = (struct sent){.reach = reach, .name = name, .began_us = sim_now_us()};
    snprintf(s->whom, sizeof(s->whom), "%s", whom);
    snprintf(s->lane, sizeof(s->lane), "%s", lane);
    return (unsigned)books.sent_count++;
}

char *books_text(unsigned sent, size_t filler) {
    char *text = malloc(filler + 16);
    int len = snprintf(text, 16, filler > 0 ? "m%u " : "m%u", sent);
    memset(text + len, '.', filler);
    text[(size_t)len + filler] = '\0';
    return text;
}

bool books_parse(const char *text, size_t len, unsigned *sent_out) {
    char head[16] = "";
    memcpy(head, text, len < 15 ? len : 15);
    return sscanf(head, "m%u", sent_out) == 1 && *sent_out < books.sent_count;
}

void books_accept(unsigned sent) {
    if (books.sent[sent].accepted_us == 0)
        books.sent[sent].accepted_us = sim_now_us();
}

/* ---- connections */

struct meeting *books_meet(void) {
    books.meetings =
        grow(books.meetings, books.meeting_count, &books.meeting_room, sizeof(struct meeting *));
    struct meeting *m = calloc(1, sizeof(*m));
    m->began_us = sim_now_us();
    return books.meetings[books.meeting_count++] = m;
}

void books_got(struct meeting *m, struct message_id id, unsigned sent) {
    if (sim_is_logged()) {
        char text[MESSAGE_ID_TEXT];
        sim_log(m->client, "%s gets m%u as %s", m->token, sent, message_id_format(id, text));
    }
    if (!message_id_is_none(id) && m->got_count > 0 &&
        message_id_compare(id, m->got[m->got_count - 1].id) <= 0)
        violate("I2", "%s got m%u with an id that is not above the one before", m->token, sent);
    m->got = grow(m->got, m->got_count, &m->got_room, sizeof(struct got));
    m->got[m->got_count++] = (struct got){.at_us = sim_now_us(), .id = id, .sent = sent};
}

/* ---- losses */

void books_lose(uint64_t from_us, uint64_t to_us) {
    if (books.loss_count < sizeof(books.losses) / sizeof(books.losses[0]))
        books.losses[books.loss_count++] = (struct loss){from_us, to_us};
    for (size_t i = 0; i < books.sent_count; i++)
        books.sent[i].is_kept = false;
}

#define LEASE_US (6 * SIM_SECOND)

/* Whatever was on its way while the data were given up, from its first byte to its last log. */
bool is_excused(const struct sent *s) {
    for (size_t i = 0; i < books.loss_count; i++) {
        if (s->began_us <= books.losses[i].to_us + (s->is_published ? LEASE_US : 0) &&
            (s->published_us == 0 || s->published_us >= books.losses[i].from_us))
            return true;
    }
    return false;
}

bool is_due(const struct sent *s) {
    if (s->is_refused)
        return false;
    return s->accepted_us != 0 || (s->via != NULL && is_open(s->via)) ||
           (s->by_gateway > 0 && !books.has_gateway_died[s->by_gateway - 1]);
}

bool is_any_loss(uint64_t from_us, uint64_t to_us) {
    for (size_t i = 0; i < books.loss_count; i++) {
        if (books.losses[i].from_us <= to_us && from_us <= books.losses[i].to_us)
            return true;
    }
    return false;
}

/* ---- what is published */

static struct message_id top_id[WORLD_PARTITIONS];
static struct message_id log_id[WORLD_PARTITIONS][NAME_ALL + 1];

/* prev is the message before, unless the log began anew when somebody joined it. */
static void check_prev(const struct published *p) {
    unsigned place = p->name == NAME_EVERY ? NAME_ALL : (unsigned)p->name;
    struct message_id *before = &log_id[p->partition][place];
    char id[MESSAGE_ID_TEXT], other[MESSAGE_ID_TEXT];
    if (!message_id_is_none(*before) && message_id_compare(p->prev, *before) != 0 &&
        p->prev.seq != 0 && !is_any_loss(0, sim_now_us()))
        violate("I2", "partition %u published %s, whose prev is not %s", p->partition,
                message_id_format(p->id, id), message_id_format(*before, other));
    *before = p->id;
}

/* Ids rise over all logs of a partition, also past a loss. */
static void check_id(const struct published *p) {
    char id[MESSAGE_ID_TEXT], other[MESSAGE_ID_TEXT];
    if (message_id_compare(p->id, top_id[p->partition]) <= 0)
        violate("I7", "partition %u published %s after %s", p->partition,
                message_id_format(p->id, id), message_id_format(top_id[p->partition], other));
    top_id[p->partition] = p->id;
}

static void note_happening(const char *text, size_t len) {
    char kind[16], name[16], copy[128] = "";
    memcpy(copy, text, len < sizeof(copy) - 1 ? len : sizeof(copy) - 1);
    struct happening h = {.at_us = sim_now_us()};
    if (sscanf(copy, "%15s %15s %31s %31s %31[^\n]", kind, name, h.client, h.token, h.cause) != 5)
        return violate("I4", "an event reads '%s'", copy);
    h.is_connect = strcmp(kind, "connect") == 0;
    h.name = name_find(name, strlen(name));
    sim_log("event", "%s", copy);
    books.happenings = grow(books.happenings, books.happening_count, &books.happening_room,
                            sizeof(struct happening));
    books.happenings[books.happening_count++] = h;
}

static void note_tick(struct bytes text) {
    books.ticks = grow(books.ticks, books.tick_count, &books.tick_room, TOKEN_MAX);
    char *tick = books.ticks[books.tick_count++];
    snprintf(tick, TOKEN_MAX, "%.*s", (int)text.len, text.ptr);
    sim_log("tick", "%s", tick);
}

static void note_published(struct sent *s, unsigned partition) {
    uint16_t bit = (uint16_t)(1U << partition);
    if ((s->partitions & bit) == 0)
        s->published_us = sim_now_us();
    s->partitions |= bit;
}

static void note_message(struct published p, struct bytes text) {
    p.sent = UINT32_MAX;
    if (p.name == NAME_AUDIT)
        note_happening(text.ptr, text.len);
    else if (p.name == NAME_TICKS)
        note_tick(text);
    else if (!books_parse(text.ptr, text.len, &p.sent))
        violate("I1", "a message was published that nobody sent: %.*s", (int)text.len, text.ptr);
    if (p.sent != UINT32_MAX)
        note_published(&books.sent[p.sent], p.partition);
    books.published = grow(books.published, books.published_count, &books.published_room,
                           sizeof(struct published));
    books.published[books.published_count++] = p;
    if (sim_is_logged()) {
        char id[MESSAGE_ID_TEXT];
        sim_log("log", "%s has m%d as %s", p.name == NAME_EVERY ? "every" : book_names[p.name],
                (int)p.sent, message_id_format(p.id, id));
    }
}

/* "sb:{<tag>}:n:<name>" or "sb:{<tag>}:n*" */
static bool parse_channel(const char *channel, size_t len, struct published *p) {
    const char *end = memchr(channel, '}', len);
    if (end == NULL || len < 8 || memcmp(channel, "sb:{", 4) != 0)
        return false;
    const char *rest = end + 1;
    size_t left = len - (size_t)(rest - channel);
    if (left == 3 && memcmp(rest, ":n*", 3) == 0) {
        p->name = NAME_EVERY;
        size_t tag_len = (size_t)(end - channel) - 4;
        for (p->partition = 0; p->partition < WORLD_PARTITIONS; p->partition++) {
            const char *tag = tags[p->partition];
            if (strlen(tag) == tag_len && memcmp(tag, channel + 4, tag_len) == 0)
                return true;
        }
        return false;
    }
    if (left < 3 || memcmp(rest, ":n:", 3) != 0)
        return false;
    p->name = name_find(rest + 3, left - 3);
    if (p->name == NAME_ALL)
        return false;
    p->partition = name_partition(p->name);
    return true;
}

void books_on_publish(const char *channel, size_t channel_len, const char *payload, size_t len) {
    struct published p = {.at_us = sim_now_us()};
    if (!parse_channel(channel, channel_len, &p))
        return;
    struct message m;
    if (message_decode(bytes_of(payload, len), &m) != PARSE_OK)
        return violate("I1", "a message was published that cannot be decoded");
    p.id = m.id;
    p.prev = m.prev;
    check_id(&p);
    if (message_has_place(&m))
        check_prev(&p);
    if (m.kind == MESSAGE_DATA)
        note_message(p, m.data);
    message_free(&m);
}
