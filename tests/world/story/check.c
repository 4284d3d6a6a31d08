/*
 * check.c - see check.h.
 *
 * The measure of everything is the reference of a Name: all that was published to it and to every
 * Name of its partition, in the order of ids, which is that of publishing.
 */
#include "tests/world/story/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/world/story/books.h"
#include "tests/world/story/client.h"
#include "tests/world/story/plan.h"
#include "tests/world/story/registry_view.h"

enum { NOWHERE = -1 };
#define MINUTE_US (60 * SIM_SECOND)

struct reference {
    const struct published **at;
    size_t count;
    int *first, *where; /* of a message: its first place and its last */
    uint8_t *copies;    /* of a message */
};

static struct reference references[NAME_COUNT];

static void reference_fill(int name, struct reference *r) {
    free(r->at);
    free(r->first);
    free(r->where);
    free(r->copies);
    r->at = malloc((books.published_count + 1) * sizeof(*r->at));
    r->where = malloc((books.sent_count + 1) * sizeof(*r->where));
    r->first = malloc((books.sent_count + 1) * sizeof(*r->first));
    r->copies = calloc(books.sent_count + 1, 1);
    r->count = 0;
    for (size_t i = 0; i < books.sent_count; i++)
        r->first[i] = r->where[i] = NOWHERE;
    unsigned partition = name_partition(name);
    for (size_t i = 0; i < books.published_count; i++) {
        const struct published *p = &books.published[i];
        if (p->sent == UINT32_MAX || p->partition != partition ||
            (p->name != name && p->name != NAME_EVERY))
            continue;
        r->where[p->sent] = (int)r->count;
        if (r->first[p->sent] == NOWHERE)
            r->first[p->sent] = (int)r->count;
        r->copies[p->sent] += r->copies[p->sent] < 255;
        r->at[r->count++] = p;
    }
}

static void references_fill(void) {
    for (int name = 0; name < NAME_COUNT; name++)
        reference_fill(name, &references[name]);
}

static const char *id_text(struct message_id id) {
    static char texts[4][MESSAGE_ID_TEXT];
    static unsigned next;
    char *text = texts[next++ % 4];
    message_id_format(id, text);
    return text;
}

static bool is_for(const struct sent *s, const struct meeting *m) {
    if (s->name != m->name && s->name != NAME_EVERY)
        return false;
    if (s->reach == TO_GROUP)
        return strcmp(s->whom, m->group) == 0;
    return s->reach != TO_CLIENT || strcmp(s->whom, m->client) == 0;
}

/* ---- I1: published once, in the order of each sender */

static bool belongs_to_name(const struct sent *s, int name) {
    return s->name == name || s->name == NAME_EVERY;
}

static void check_published(int name) {
    const struct reference *r = &references[name];
    for (size_t i = 0; i < books.sent_count; i++) {
        const struct sent *s = &books.sent[i];
        if (!belongs_to_name(s, name) || is_excused(s))
            continue;
        if (r->copies[i] > 1)
            violate("I1", "m%zu is %u times in %s", i, r->copies[i], book_names[name]);
        if (r->copies[i] == 0 && is_due(s))
            violate("I1", "m%zu was accepted and is not in %s", i, book_names[name]);
    }
}

/* It waited in the data that Redis fell back to last: then somebody has to publish it, or had done
 * so in a time that was not given up. */
static bool is_forgotten(const struct reference *r, unsigned sent) {
    if (!books.sent[sent].is_kept || books.sent[sent].is_refused)
        return false;
    for (size_t i = 0; i < r->count; i++)
        if (r->at[i]->sent == sent && !is_any_loss(r->at[i]->at_us, r->at[i]->at_us))
            return false;
    return true;
}

static void check_forgotten(int name) {
    if (plan_has(FAULT_REDIS_CLOCK))
        return;
    for (unsigned i = 0; i < books.sent_count; i++) {
        if (books.sent[i].name == name && is_forgotten(&references[name], i))
            violate("I1", "m%u waited when Redis fell back, and is not in %s", i, book_names[name]);
    }
}

/* The place of a lane among those that were met before. */
static unsigned lane_number(char (*lanes)[TOKEN_MAX], unsigned *count, const char *lane) {
    unsigned i = *count;
    while (i > 0 && strcmp(lanes[i - 1], lane) != 0)
        i--;
    if (i > 0)
        return i - 1;
    strcpy(lanes[*count], lane);
    return (*count)++;
}

static void check_lanes(int name) {
    const struct reference *r = &references[name];
    char(*lanes)[TOKEN_MAX] = malloc((r->count + 1) * TOKEN_MAX);
    unsigned *last = calloc(r->count + 1, sizeof(*last)), count = 0;
    for (size_t i = 0; i < r->count; i++) {
        unsigned sent = r->at[i]->sent;
        if (is_excused(&books.sent[sent]))
            continue;
        unsigned lane = lane_number(lanes, &count, books.sent[sent].lane);
        if (last[lane] > sent)
            violate("I2", "%s: m%u comes after m%u, which %s sent later", book_names[name], sent,
                    last[lane], books.sent[sent].lane);
        last[lane] = sent;
    }
    free(lanes);
    free(last);
}

/* ---- I1, I2, I3: what a connection received */

/* Past what is for others, and what the loss of data may have kept from this client. */
static size_t skip(const struct reference *r, const struct meeting *m, size_t at, unsigned sent) {
    while (at < r->count) {
        const struct sent *s = &books.sent[r->at[at]->sent];
        if (is_for(s, m) && (r->at[at]->sent == sent || !is_excused(s)))
            break;
        at++;
    }
    return at;
}

static size_t after(const struct reference *r, struct message_id id) {
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (message_id_compare(r->at[middle]->id, id) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The first message that it cannot have missed: it was sent after the client was connected. */
static size_t latest_begin(const struct reference *r, const struct meeting *m) {
    size_t at = 0;
    while (at < r->count) {
        const struct sent *s = &books.sent[r->at[at]->sent];
        if (is_for(s, m) && s->began_us > m->opened_us && !is_excused(s))
            break;
        at++;
    }
    return at;
}

/* places: a plain client does not say which of two copies it got. */
static size_t begin_of(const struct reference *r, const struct meeting *m, const int *places) {
    size_t latest = latest_begin(r, m), begin = latest;
    if (m->is_v1 && m->recovered == RECOVERED_TRUE)
        return after(r, m->resumed);
    if (m->is_v1)
        begin = after(r, m->hello);
    else if (m->got_count > 0)
        begin = (size_t)places[m->got[0].sent];
    return begin < latest ? begin : latest;
}

static const char *told(const struct meeting *m) {
    static char text[160];
    snprintf(text, sizeof(text), "%s of %s at gateway%u, %s%s%s", m->token, book_names[m->name],
             m->gateway + 1, m->is_v1 ? "v1" : "plain",
             m->recovered == RECOVERED_TRUE    ? ", recovered"
             : m->recovered == RECOVERED_FALSE ? ", not recovered"
                                               : "",
             is_open(m) ? "" : ", which has ended,");
    return text;
}

static const char *wrong(const char **which_out, const char *which, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static const char *wrong(const char **which_out, const char *which, const char *format, ...) {
    static char text[400];
    va_list args;
    *which_out = which;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return text;
}

/* A replay that was told to have holes; from its `hello` on there is none. */
static bool is_of_torn_replay(const struct meeting *m, const struct got *g) {
    return m->is_v1 && m->recovered == RECOVERED_FALSE && message_id_compare(g->id, m->hello) <= 0;
}

/* NULL, or what is wrong if it began there. */
static const char *problem_from(const struct meeting *m, size_t at, const char **which) {
    const struct reference *r = &references[m->name];
    for (size_t i = 0; i < m->got_count; i++) {
        const struct got *g = &m->got[i];
        if (r->where[g->sent] == NOWHERE)
            return wrong(which, "I1", "%s got m%u, which was never published", told(m), g->sent);
        if (m->recovered == RECOVERED_FALSE && message_id_compare(g->id, m->hello) <= 0)
            continue; /* told: there are holes among what was missed */
        if (!is_for(&books.sent[g->sent], m))
            return wrong(which, "I1", "%s got m%u, which is for others", told(m), g->sent);
        if (is_of_torn_replay(m, g))
            continue;
        at = skip(r, m, at, g->sent);
        if (at == r->count || r->at[at]->sent != g->sent)
            return wrong(which, (size_t)r->where[g->sent] < at ? "I3" : "I1",
                         "%s got m%u where m%d should be", told(m), g->sent,
                         at == r->count ? NOWHERE : (int)r->at[at]->sent);
        if (m->is_v1 && message_id_compare(g->id, r->at[at]->id) != 0 &&
            !is_any_loss(0, UINT64_MAX))
            return wrong(which, "I2", "%s got m%u as %s, which is %s", told(m), g->sent,
                         id_text(g->id), id_text(r->at[at]->id));
        at++;
    }
    at = skip(r, m, at, UINT32_MAX);
    if (is_open(m) && at < r->count)
        return wrong(which, "I1", "%s lacks m%u, which was published at %.6f as %s", told(m),
                     r->at[at]->sent, (double)r->at[at]->at_us / 1e6, id_text(r->at[at]->id));
    return NULL;
}

static void check_received(const struct meeting *m) {
    const struct reference *r = &references[m->name];
    const char *which = "", *problem = problem_from(m, begin_of(r, m, r->where), &which);
    if (problem != NULL && is_any_loss(0, UINT64_MAX))
        problem = problem_from(m, begin_of(r, m, r->first), &which);
    if (problem != NULL)
        violate(which, "%s", problem);
}

/* So many messages to its Name that its history need not reach back over them: 1,000 messages or
 * 256 KB, of which an event of the audit takes up to 320 bytes. Whoever hears nothing meanwhile has
 * a gap. */
static bool has_outgrown_history(const struct meeting *m, uint64_t until_us) {
    enum { LEAST_MESSAGES = 800, DEAF_US = 30 * SIM_SECOND };
    size_t count = 0;
    for (size_t i = 0; i < books.published_count; i++) {
        const struct published *p = &books.published[i];
        count += (p->name == m->name || p->name == NAME_EVERY) && p->at_us <= until_us &&
                 p->at_us + DEAF_US > until_us;
    }
    return count >= LEAST_MESSAGES;
}

static void check_resume(const struct meeting *m) {
    if (m->recovered == RECOVERED_FALSE && !has_outgrown_history(m, m->opened_us) &&
        !plan_explains(END_GAP | END_SHORT, m->gateway, m->who, m->opened_us, UINT64_MAX / 2))
        violate("I1", "%s resumed from %s, and no data were lost", told(m), id_text(m->resumed));
    if (!message_id_is_none(m->resumed) && m->got_count > 0 && !is_any_loss(0, UINT64_MAX) &&
        message_id_compare(m->got[0].id, m->resumed) <= 0)
        violate("I3", "%s got %s again, after which it resumed", told(m), id_text(m->got[0].id));
}

/* ---- ends */

/* It, or another connection of the client, came later. */
static bool is_replaced(const struct meeting *m) {
    for (size_t i = 0; i < books.meeting_count; i++) {
        const struct meeting *other = books.meetings[i];
        if (other != m && other->who == m->who && other->began_us >= m->began_us &&
            strcmp(other->token, m->token) != 0)
            return true;
    }
    return false;
}

static void check_end(const struct meeting *m) {
    static const struct {
        int code;
        unsigned explained_by;
        uint64_t grace_us;
    } ends[] = {{1001, END_RESTART, 40 * SIM_SECOND},
                {1006, END_LOST, 30 * SIM_SECOND},
                {1012, END_DEAD, 40 * SIM_SECOND},
                {1013, END_BUSY, 30 * SIM_SECOND},
                {4002, END_SLOWNESS, 10 * SIM_SECOND},
                {4003, END_TIMEOUT, 15 * SIM_SECOND},
                {4004, END_GAP | END_SHORT, 300 * SIM_SECOND}};
    if (m->opened_us == 0 || m->ended_us == 0 || m->is_own_end ||
        (m->code == 1000 && m->is_local) || (m->code == 4001 && is_replaced(m)))
        return;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (m->code == ends[i].code &&
            plan_explains(ends[i].explained_by, m->gateway, m->who, m->ended_us, ends[i].grace_us))
            return;
    }
    if (m->code == 4004 && has_outgrown_history(m, m->ended_us))
        return;
    violate("I6", "%s was ended with %d at %.6f, and no fault explains it", told(m), m->code,
            (double)m->ended_us / 1e6);
}

/* ---- I4: Connect and Disconnect. I5: the registry */

/* What is missing is said here, for whoever waits for it. */
static char missing[256];

static bool lacks(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool lacks(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(missing, sizeof(missing), format, args);
    va_end(args);
    return false;
}

static struct meeting *meeting_of(const struct happening *h) {
    const char *token = strchr(h->token, '.') != NULL ? h->token : h->client;
    for (size_t i = 0; i < books.meeting_count; i++) {
        if (strcmp(books.meetings[i]->token, token) == 0)
            return books.meetings[i];
    }
    return NULL;
}

static bool is_event_excused(const struct meeting *m) {
    return is_any_loss(m->began_us, m->ended_us == 0 ? UINT64_MAX : m->ended_us + 30 * SIM_SECOND);
}

struct life {
    unsigned connects, disconnects;
};

static bool check_lives(const struct life *lives) {
    for (size_t i = 0; i < books.meeting_count; i++) {
        const struct meeting *m = books.meetings[i];
        if (m->is_local || m->is_deaf || is_event_excused(m))
            continue;
        if (m->opened_us != 0 && lives[i].connects == 0)
            return lacks("I4 %s has no Connect", told(m));
        if (m->ended_us != 0 && lives[i].connects > 0 && lives[i].disconnects == 0)
            return lacks("I4 %s has no Disconnect", told(m));
        if (is_open(m) && lives[i].disconnects > 0)
            return lacks("I4 %s is open and has had its Disconnect", told(m));
    }
    return true;
}

static void check_order(const struct meeting *m, const struct happening *h, struct life *life) {
    if (is_event_excused(m))
        return;
    if (h->is_connect && ++life->connects > 1)
        violate("I4", "%s had two Connects", told(m));
    if (!h->is_connect && ++life->disconnects > 1)
        violate("I4", "%s had two Disconnects", told(m));
    if (!h->is_connect && life->connects == 0)
        violate("I4", "%s had a Disconnect before its Connect", told(m));
}

/* Of one client one connection at a time. */
static void check_turns(const struct happening *h, size_t at) {
    for (size_t i = at; i-- > 0;) {
        const struct happening *before = &books.happenings[i];
        if (before->name != h->name || strcmp(before->client, h->client) != 0)
            continue;
        if (before->is_connect && h->is_connect && !is_any_loss(0, UINT64_MAX))
            violate("I4", "the Connect of %s comes before the Disconnect of %s", h->token,
                    before->token);
        return;
    }
}

static bool events_are_complete(void) {
    struct life *lives = calloc(books.meeting_count + 1, sizeof(*lives));
    for (size_t i = 0; i < books.happening_count; i++) {
        const struct happening *h = &books.happenings[i];
        struct meeting *m = meeting_of(h);
        if (m == NULL) {
            violate("I4", "an event of %s, which nobody made", h->token);
            continue;
        }
        size_t at = 0;
        while (books.meetings[at] != m)
            at++;
        check_order(m, h, &lives[at]);
        check_turns(h, i);
    }
    bool result = check_lives(lives);
    free(lives);
    return result;
}

static const struct meeting *open_one(int name, const char *client) {
    for (size_t i = 0; i < books.meeting_count; i++) {
        const struct meeting *m = books.meetings[i];
        if (m->name == name && is_open(m) && !m->is_local && strcmp(m->client, client) == 0)
            return m;
    }
    return NULL;
}

struct registry_walk {
    int name;
    bool is_true;
    size_t count;
};

static void on_registered(void *ctx, const char *client, const char *group) {
    struct registry_walk *walk = ctx;
    const struct meeting *m = open_one(walk->name, client);
    walk->count++;
    if (m == NULL)
        walk->is_true = lacks("I5 %s of %s is registered (%s) and not connected", client,
                              book_names[walk->name], group);
    else if (m->group[0] == '\0' && strcmp(group, m->token) != 0)
        walk->is_true = lacks("I5 %s of %s is registered as %s and connected as %s", client,
                              book_names[walk->name], group, m->token);
}

static bool registry_is_true(void) {
    for (int name = 0; name < NAME_COUNT; name++) {
        struct registry_walk walk = {.name = name, .is_true = true};
        size_t open = 0;
        registry_each(name, on_registered, &walk);
        if (!walk.is_true)
            return false;
        for (size_t i = 0; i < books.meeting_count; i++)
            open += books.meetings[i]->name == name && is_open(books.meetings[i]) &&
                    !books.meetings[i]->is_local;
        if (open != walk.count)
            return lacks("I5 %zu connections of %s are open and %zu registered", open,
                         book_names[name], walk.count);
    }
    const char *stray = registry_stray();
    return stray == NULL || lacks("I5 %s is in a gateway's set and not in the registry", stray);
}

/* ---- ticks: each minute of Redis' clock once */

static bool is_clock_wrong(void) {
    return plan_has(FAULT_REDIS_CLOCK) || is_any_loss(0, UINT64_MAX);
}

static void check_tick(uint64_t minute) {
    time_t at = (time_t)(minute * 60);
    char text[TOKEN_MAX];
    struct tm t;
    gmtime_r(&at, &t);
    strftime(text, sizeof(text), "tick %Y-%m-%dT%H:%M:00.000Z", &t);
    for (size_t i = 0; i < books.tick_count; i++) {
        if (strcmp(books.ticks[i], text) == 0)
            return;
    }
    violate("I1", "the %s did not come", text);
}

static void check_ticks(uint64_t from_wall_us, uint64_t to_wall_us) {
    if (is_clock_wrong())
        return;
    for (size_t i = 0; i < books.tick_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(books.ticks[i], books.ticks[j]) == 0)
                violate("I3", "the %s came twice", books.ticks[i]);
        }
    }
    for (uint64_t at = from_wall_us / MINUTE_US + 1; at <= to_wall_us / MINUTE_US; at++)
        check_tick(at);
}

/* ---- all of it */

static bool is_published(void) {
    for (int name = 0; name < NAME_COUNT; name++) {
        for (size_t i = 0; i < books.sent_count; i++) {
            const struct sent *s = &books.sent[i];
            if (is_due(s) && references[name].copies[i] == 0 && belongs_to_name(s, name) &&
                !is_excused(s))
                return lacks("I1 m%zu, sent at %.6f, was accepted and is not in %s", i,
                             (double)s->began_us / 1e6, book_names[name]);
        }
    }
    return true;
}

/* The last message of each reference has reached each open connection. */
static bool is_delivered(void) {
    for (size_t i = 0; i < books.meeting_count; i++) {
        const struct meeting *m = books.meetings[i];
        if (!is_open(m) || m->is_local || m->is_deaf)
            continue;
        const struct reference *r = &references[m->name];
        size_t last = r->count;
        while (last > latest_begin(r, m) && !is_for(&books.sent[r->at[last - 1]->sent], m))
            last--;
        if (last > latest_begin(r, m) &&
            (m->got_count == 0 || m->got[m->got_count - 1].sent != r->at[last - 1]->sent) &&
            !is_excused(&books.sent[r->at[last - 1]->sent]))
            return lacks("I1 %s lacks m%u", told(m), r->at[last - 1]->sent);
    }
    return true;
}

bool check_is_at_rest(const char **why_out) {
    references_fill();
    *why_out = missing;
    return is_published() && is_delivered() && events_are_complete() && registry_is_true();
}

void check_all(uint64_t from_wall_us, uint64_t to_wall_us) {
    references_fill();
    check_ticks(from_wall_us, to_wall_us);
    for (int name = 0; name < NAME_COUNT; name++) {
        check_published(name);
        check_forgotten(name);
        check_lanes(name);
    }
    for (size_t i = 0; i < books.meeting_count; i++) {
        const struct meeting *m = books.meetings[i];
        check_end(m);
        if (m->opened_us == 0 || m->is_local || m->is_deaf || (m->is_v1 && !m->has_hello))
            continue;
        check_received(m);
        check_resume(m);
    }
    if (!events_are_complete() || !registry_is_true())
        violate(missing, "%s", "");
}
