/* pubsub.c - PUBLISH, SUBSCRIBE and their kin. */
#include <stdio.h>

#include "tests/world/redis/internal.h"
#include "tests/world/redis/numbers.h"

struct channel {
    struct dict *home;
    struct dict_entry *entry;
    struct listeners listeners;
    size_t count;
};

void pubsub_init(struct pubsub *p, uint64_t seed) {
    dict_init(&p->channels, seed);
    dict_init(&p->patterns, seed);
}

void pubsub_deinit(struct pubsub *p) {
    dict_deinit(&p->channels);
    dict_deinit(&p->patterns);
}

static struct listener *find(const struct listeners *mine, struct bytes name) {
    struct listener *l;
    TAILQ_FOREACH (l, mine, in_session)
        if (bytes_equal(dict_key(l->channel->entry), name))
            return l;
    return NULL;
}

static struct channel *channel_of(struct dict *home, struct bytes name) {
    struct dict_entry *e = dict_find(home, name);
    if (e == NULL) {
        struct channel *ch = mem_zalloc(sizeof(*ch));
        e = dict_add(home, name);
        *ch = (struct channel){.home = home, .entry = e};
        TAILQ_INIT(&ch->listeners);
        e->value.ptr = ch;
    }
    return e->value.ptr;
}

static void join(struct redis_session *s, bool is_pattern, struct bytes name) {
    struct pubsub *p = &s->model->pubsub;
    struct listeners *mine = is_pattern ? &s->patterns : &s->channels;
    if (find(mine, name) != NULL)
        return;
    struct listener *l = mem_zalloc(sizeof(*l));
    l->session = s;
    l->channel = channel_of(is_pattern ? &p->patterns : &p->channels, name);
    TAILQ_INSERT_TAIL(&l->channel->listeners, l, in_channel);
    l->channel->count++;
    TAILQ_INSERT_TAIL(mine, l, in_session);
    ++*(is_pattern ? &s->pattern_count : &s->channel_count);
}

static void leave(struct redis_session *s, bool is_pattern, struct listener *l) {
    struct channel *ch = l->channel;
    TAILQ_REMOVE(&ch->listeners, l, in_channel);
    TAILQ_REMOVE(is_pattern ? &s->patterns : &s->channels, l, in_session);
    --*(is_pattern ? &s->pattern_count : &s->channel_count);
    if (--ch->count == 0) {
        dict_remove(ch->home, ch->entry);
        free(ch);
    }
    free(l);
}

void pubsub_leave(struct redis_session *s) {
    while (!TAILQ_EMPTY(&s->channels))
        leave(s, false, TAILQ_FIRST(&s->channels));
    while (!TAILQ_EMPTY(&s->patterns))
        leave(s, true, TAILQ_FIRST(&s->patterns));
}

size_t redis_session_subscriptions(const struct redis_session *s) {
    return s->channel_count + s->pattern_count;
}

/* ---- publishing ---- */

static int64_t tell_channel(struct channel *ch, struct bytes pattern, struct bytes channel,
                            struct bytes payload) {
    struct listener *l;
    TAILQ_FOREACH (l, &ch->listeners, in_channel) {
        struct call c = {.out = &l->session->out};
        answer_array(&c, pattern.ptr != NULL ? 4 : 3);
        answer_bulk(&c, bytes_str(pattern.ptr != NULL ? "pmessage" : "message"));
        if (pattern.ptr != NULL)
            answer_bulk(&c, pattern);
        answer_bulk(&c, channel);
        answer_bulk(&c, payload);
        session_flush(l->session);
    }
    return (int64_t)ch->count;
}

int64_t pubsub_publish(struct redis_model *m, struct bytes channel, struct bytes payload) {
    struct dict_entry *e = dict_find(&m->pubsub.channels, channel);
    int64_t heard = 0;
    if (m->tap != NULL)
        m->tap(m->tap_ctx, channel, payload);
    if (e != NULL)
        heard += tell_channel(e->value.ptr, BYTES_NONE, channel, payload);
    DICT_EACH(e, &m->pubsub.patterns)
    if (glob_matches(dict_key(e), channel))
        heard += tell_channel(e->value.ptr, dict_key(e), channel, payload);
    return heard;
}

static void publish(struct call *c) {
    answer_int(c, pubsub_publish(c->model, c->argv[1], c->argv[2]));
}

/* ---- subscribing ---- */

static void confirm(struct call *c, const char *what, const struct bytes *name) {
    answer_array(c, 3);
    answer_bulk(c, bytes_str(what));
    if (name != NULL)
        answer_bulk(c, *name);
    else
        answer_nil(c);
    answer_int(c, (int64_t)redis_session_subscriptions(c->session));
}

static void subscribe(struct call *c) {
    bool is_pattern = c->row->name[0] == 'p';
    for (int i = 1; i < c->argc; i++) {
        join(c->session, is_pattern, c->argv[i]);
        confirm(c, c->row->name, &c->argv[i]);
    }
}

/* Without a name: all of them. */
static void unsubscribe(struct call *c) {
    bool is_pattern = c->row->name[0] == 'p';
    struct listeners *mine = is_pattern ? &c->session->patterns : &c->session->channels;
    if (c->argc == 1 && TAILQ_EMPTY(mine))
        confirm(c, c->row->name, NULL);
    while (c->argc == 1 && !TAILQ_EMPTY(mine)) {
        struct text *name = text_new(dict_key(TAILQ_FIRST(mine)->channel->entry));
        struct bytes bytes = text_bytes(name);
        leave(c->session, is_pattern, TAILQ_FIRST(mine));
        confirm(c, c->row->name, &bytes);
        text_drop(name);
    }
    for (int i = 1; i < c->argc; i++) {
        struct listener *l = find(mine, c->argv[i]);
        if (l != NULL)
            leave(c->session, is_pattern, l);
        confirm(c, c->row->name, &c->argv[i]);
    }
}

/* ---- PUBSUB ---- */

static void channels(struct call *c) {
    struct dict_entry *e;
    size_t n = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            answer_array(c, n);
        DICT_EACH(e, &c->model->pubsub.channels) {
            if (c->argc == 3 && !glob_matches(c->argv[2], dict_key(e)))
                continue;
            n++;
            if (pass == 1)
                answer_bulk(c, dict_key(e));
        }
    }
}

static void numsub(struct call *c) {
    answer_array(c, 2 * ((size_t)c->argc - 2));
    for (int i = 2; i < c->argc; i++) {
        const struct dict_entry *e = dict_find(&c->model->pubsub.channels, c->argv[i]);
        const struct channel *ch = e != NULL ? e->value.ptr : NULL;
        answer_bulk(c, c->argv[i]);
        answer_int(c, ch != NULL ? (int64_t)ch->count : 0);
    }
}

static void numpat(struct call *c) {
    answer_int(c, (int64_t)c->model->pubsub.patterns.count);
}

enum { SUBSCRIBING = NO_SCRIPT | IN_LOADING | IN_STALE | WHILE_SUBSCRIBED };

const struct command_row pubsub_rows[] = {{"psubscribe", -2, SUBSCRIBING, subscribe},
                                          {"publish", 3, IN_LOADING | IN_STALE, publish},
                                          {"pubsub", -2, 0, NULL},
                                          {"pubsub|channels", -2, IN_LOADING | IN_STALE, channels},
                                          {"pubsub|numpat", 2, IN_LOADING | IN_STALE, numpat},
                                          {"pubsub|numsub", -2, IN_LOADING | IN_STALE, numsub},
                                          {"punsubscribe", -1, SUBSCRIBING, unsubscribe},
                                          {"subscribe", -2, SUBSCRIBING, subscribe},
                                          {"unsubscribe", -1, SUBSCRIBING, unsubscribe},
                                          {0}};
