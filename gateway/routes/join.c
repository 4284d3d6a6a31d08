/* join.c - see join.h. Read join_start, on_following, on_registered, complete. */
#include "gateway/routes/join.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/bus/cluster/registry.h"
#include "common/bus/log/follower.h"
#include "common/bus/log/look_back.h"
#include "common/bus/log/replay.h"
#include "common/send/delivery.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/request.h"
#include "gateway/routes/routes.h"
#include "gateway/session/addressees.h"
#include "gateway/session/client.h"
#include "gateway/session/clients.h"
#include "gateway/session/memberships.h"
#include "gateway/session/message_frames.h"
#include "gateway/session/resume_token.h"
#include "gateway/session/wire.h"

enum { JOIN_HELD_MAX_BYTES = 1024 * 1024, FOLLOW_MS = 5000, REPLAYS_MAX = 64 };

enum join_state { JOIN_FOLLOWING, JOIN_REGISTERING, JOIN_REPLAYING, JOIN_ENDED };

/* What follows the 101: a message, or the end. */
struct held {
    STAILQ_ENTRY(held) link;
    struct message_id id;
    struct frame frame; /* FRAME_NONE: a close */
    int close_code;
    char *close_reason;
};
STAILQ_HEAD(held_list, held);

struct join {
    enum join_state state;
    struct routes *routes;
    struct request *request;
    struct client *client;
    join_carry_fn *carry;
    struct name_entry *entry;
    LIST_ENTRY(join) link;
    struct message_id position;
    bool wants_resume, has_resume, is_recovered, is_told_live;
    unsigned last;   /* messages that come first, if they are there; 0 with a resume */
    bool has_gap;    /* messages after the position were lost */
    bool is_rewound; /* the position means nothing: later messages may have smaller ids */
    struct message_id stood_at; /* the follow, when the registration was asked for */
    struct message_id resume;
    enum { REPLAY_NONE, REPLAY_WAITS, REPLAY_RUNS } replaying;
    struct replay *replay;       /* REPLAY_RUNS: of what it missed, … */
    struct look_back *look_back; /* … or of the last ones */
    TAILQ_ENTRY(join) waiting;   /* REPLAY_WAITS: in routes->replays */
    struct held_list replayed, held;
    size_t replayed_bytes, held_bytes;
    unsigned replayed_count;
    uv_timer_t deadline; /* of FOLLOWING */
    bool is_late;        /* it is over */
};

static void set_state(struct join *j, enum join_state to) {
    MUST(j->state != JOIN_ENDED && (to == JOIN_ENDED || to == j->state + 1));
    j->state = to;
}

struct join *join_next(struct join *j) {
    return LIST_NEXT(j, link);
}

void join_on_gap(struct join *j, enum gap gap) {
    if (j->state == JOIN_FOLLOWING)
        return;
    j->has_gap = j->has_gap || gap != GAP_NONE;
    if (gap != GAP_LOST && message_id_compare(j->position, follow_position(j->entry->follow)) > 0)
        j->is_rewound = true;
}

uint64_t join_number(const struct join *j) {
    return j->client->who.number;
}

/* ---- held messages */

static void drop_held(struct held_list *list) {
    struct held *h;
    while ((h = STAILQ_FIRST(list)) != NULL) {
        STAILQ_REMOVE_HEAD(list, link);
        frame_unref(h->frame);
        free(h->close_reason);
        free(h);
    }
}

/* What is replayed would be compressed for this client alone, and is sent as it is. */
static enum wire wire_for(const struct join *j, const struct held_list *list) {
    enum wire wire = name_entry_wire(j->entry, j->client);
    return list == &j->held ? wire : wire_uncompressed(wire);
}

/* The last ones come with the newest first. */
static void insert(struct join *j, struct held_list *list, struct held *h) {
    size_t bytes = h->frame.len + sizeof(*h);
    if (list == &j->held) {
        j->held_bytes += bytes;
        STAILQ_INSERT_TAIL(list, h, link);
        return;
    }
    j->replayed_bytes += bytes;
    j->replayed_count++;
    if (j->last > 0)
        STAILQ_INSERT_HEAD(list, h, link);
    else
        STAILQ_INSERT_TAIL(list, h, link);
}

/* m is for the client. */
static void hold_message(struct join *j, struct held_list *list, const struct message *m) {
    struct held item = {.id = m->id};
    struct bytes reason;
    switch (m->kind) {
    case MESSAGE_DATA:
    case MESSAGE_NOTE:
        item.frame =
            message_frames_make(j->routes->frames, m, j->client->who.name, wire_for(j, list));
        break;
    case MESSAGE_CLOSE:
        if (list == &j->replayed)
            return; /* it was meant for the connections of that time */
        item.close_code = delivery_read_close(m, &reason);
        item.close_reason = bytes_dup(reason);
        break;
    case MESSAGE_GROUPS:
    case MESSAGE_BYE:
    default: return;
    }
    struct held *h = mem_alloc(sizeof(*h));
    *h = item;
    insert(j, list, h);
}

/* ---- replays in turns, since each is kept until its end */

static void start_replay(struct join *j);

static void replay_in_turn(struct join *j) {
    struct replays *all = &j->routes->replays;
    if (all->running < REPLAYS_MAX) {
        start_replay(j);
        return;
    }
    j->replaying = REPLAY_WAITS;
    TAILQ_INSERT_TAIL(&all->waiting, j, waiting);
}

/* Its own is over, or not wanted any more. One that starts may fail at once, and come here from
 * within the loop. */
static void leave_replays(struct join *j) {
    struct replays *all = &j->routes->replays;
    if (j->replaying == REPLAY_WAITS)
        TAILQ_REMOVE(&all->waiting, j, waiting);
    else if (j->replaying == REPLAY_RUNS)
        all->running--;
    j->replaying = REPLAY_NONE;
    if (all->is_starting)
        return;
    all->is_starting = true;
    while (all->running < REPLAYS_MAX && !TAILQ_EMPTY(&all->waiting)) {
        struct join *next = TAILQ_FIRST(&all->waiting);
        TAILQ_REMOVE(&all->waiting, next, waiting);
        next->replaying = REPLAY_NONE;
        start_replay(next);
    }
    all->is_starting = false;
}

/* ---- ends */

static void on_timer_closed(uv_handle_t *handle) {
    free(container_of((uv_timer_t *)handle, struct join, deadline));
}

/* Everything is given up but the memory, which goes when the timer is closed. */
static void end(struct join *j, bool is_ok) {
    struct request *r = j->request;
    set_state(j, JOIN_ENDED);
    follow_cancel(j->entry->follow, j);
    registry_cancel(j->routes->registry, j);
    replay_cancel(j->replay);
    look_back_cancel(j->look_back);
    leave_replays(j);
    LIST_REMOVE(j, link);
    clients_left(j->entry);
    drop_held(&j->replayed);
    drop_held(&j->held);
    client_unref(j->client);
    request_set_worker(r, NULL, NULL);
    uv_close((uv_handle_t *)&j->deadline, on_timer_closed);
    if (r->on_converted != NULL)
        r->on_converted(r, is_ok);
    request_worked(r);
}

static void refuse(struct join *j, const char *why) {
    log_debug("join", "refused name=%s reason=%s", LOG_TEXT(j->client->who.name),
              LOG_TEXT(bytes_str(why)));
    client_lose(j->client);
    request_refuse(j->request, 503, why);
    end(j, false);
}

static void on_gone(struct request *r) {
    struct join *j = r->work;
    client_lose(j->client);
    end(j, false);
}

static const struct request_worker worker = {.on_gone = on_gone};

/* A process that was held up finds the timer due and the answer unread in the same turn; so the
 * answer is read before the timer counts. */
static void on_deadline(uv_timer_t *timer) {
    struct join *j = container_of(timer, struct join, deadline);
    if (j->is_late) {
        refuse(j, "Redis is not reached");
        return;
    }
    j->is_late = true;
    MUST(uv_timer_start(timer, on_deadline, 1, 0) == 0);
}

/* ---- the 101 */

static void send_held(struct join *j, struct client *client, struct held_list *list) {
    struct held *h;
    STAILQ_FOREACH (h, list, link) {
        if (list == &j->held && !j->is_rewound && message_id_compare(h->id, j->position) <= 0)
            continue;
        if (h->frame.chunk == NULL) {
            client_close_with(client, h->close_code, bytes_str(h->close_reason));
            return;
        }
        if (client_send_frame(client, h->frame, true) == CONN_OVER) {
            client_close(client, CLOSE_UNAVAILABLE); /* it resumes from what it has had */
            return;
        }
    }
}

/* Its registration was made under an id that was declared dead meanwhile, and is gone. */
static bool is_of_the_dead(const struct join *j) {
    struct conn_value value;
    return conn_value_parse(j->client->who.value, &value) &&
           !bytes_equal_str(value.gateway, bus_id(j->routes->bus));
}

/* Where a client that is lost before the first message has come may go on; the last ones, which it
 * has not got then, come after it. */
static struct message_id begins_at(const struct join *j) {
    const struct held *first = STAILQ_FIRST(&j->replayed);
    return j->last > 0 && first != NULL ? message_id_before(first->id) : j->position;
}

static void send_hello(struct join *j, struct client *client) {
    struct message_id begin = begins_at(j);
    bool is_on_its_way =
        j->has_resume && !j->is_rewound && message_id_compare(j->resume, begin) < 0;
    struct resume_token token = {.issued_s = clock_wall_ms() / 1000,
                                 .position = is_on_its_way ? j->resume : begin,
                                 .name = client->who.name,
                                 .client_id = client->who.client_id,
                                 .value = client->who.value};
    struct resume_key key;
    struct buf text = {0};
    if (wire_has_hello(client->wire) && resume_key_of(j->routes->bus, &key))
        resume_token_append(&text, &key, &token);
    struct hello hello = {.position = begin,
                          .recovered = !j->wants_resume  ? WIRE_NOT_ASKED
                                       : j->is_recovered ? WIRE_RECOVERED
                                                         : WIRE_NOT_RECOVERED,
                          .resume = buf_bytes(&text),
                          .is_replay_ahead = j->is_told_live};
    client_send_hello(client, &hello);
    buf_deinit(&text);
}

static void complete(struct join *j) {
    if (is_of_the_dead(j)) {
        refuse(j, "this gateway was declared dead");
        return;
    }
    struct client *client = client_ref(j->client);
    if (j->is_rewound) { /* what is live may have been read, too, and no id tells which */
        drop_held(&j->replayed);
        j->is_recovered = false;
    }
    j->carry(j->request, client);
    client->skip_until = j->is_rewound ? MESSAGE_ID_NONE : j->position;
    clients_attach(j->entry, client);
    send_hello(j, client);
    send_held(j, client, &j->replayed);
    if (j->is_told_live)
        client_send_live(client);
    send_held(j, client, &j->held);
    bool has_gap = j->has_gap && !j->entry->continues_on_gap;
    end(j, true);
    if (has_gap)
        client_close(client, CLOSE_GAP);
    client_unref(client);
}

/* ---- steps */

/* More than can be kept. */
static bool is_much_replayed(const struct join *j) {
    return j->replayed_bytes > JOIN_HELD_MAX_BYTES + (size_t)j->routes->settings->history_bytes;
}

static void replay_ended(struct join *j, int status) {
    log_debug("join", "replayed name=%s status=%d recovered=%d bytes=%zu",
              LOG_TEXT(j->client->who.name), status, j->is_recovered, j->replayed_bytes);
    leave_replays(j);
    if (status < 0)
        refuse(j, "the history could not be read");
    else
        complete(j);
}

static void on_replayed(void *ctx, const struct message *m) {
    struct join *j = ctx;
    if (is_much_replayed(j))
        j->has_resume = false; /* reported as a gap */
    else if (clients_is_for(m, j->client))
        hold_message(j, &j->replayed, m);
}

static void on_replay_done(void *ctx, int status, bool is_complete) {
    struct join *j = ctx;
    j->replay = NULL;
    j->is_recovered = status == 0 && is_complete && j->has_resume;
    if (status == 0 && !j->has_resume)
        drop_held(&j->replayed);
    replay_ended(j, status);
}

static bool on_looked_back(void *ctx, const struct message *m) {
    struct join *j = ctx;
    if (m->kind == MESSAGE_DATA && clients_is_for(m, j->client))
        hold_message(j, &j->replayed, m);
    return j->replayed_count < j->last && !is_much_replayed(j);
}

static void on_look_back_done(void *ctx, int status) {
    struct join *j = ctx;
    j->look_back = NULL;
    replay_ended(j, status);
}

static void start_replay(struct join *j) {
    static const struct replay_events missed = {.on_message = on_replayed,
                                                .on_done = on_replay_done};
    static const struct look_back_events last = {.on_message = on_looked_back,
                                                 .on_done = on_look_back_done};
    struct bytes name = j->client->who.name;
    if (!bus_can_send(j->routes->bus)) {
        refuse(j, "the history could not be read");
        return;
    }
    j->routes->replays.running++;
    j->replaying = REPLAY_RUNS;
    if (j->last > 0) {
        struct look_back_range range = {
            .name = name, .before = message_id_after(j->position), .wanted = j->last};
        j->look_back = look_back_start(j->routes->bus, &range, &last, j);
    } else {
        struct replay_range range = {name, j->resume, j->position};
        j->replay = replay_start(j->routes->bus, &range, &missed, j);
    }
}

static void on_registered(void *ctx, enum registered result, struct message_id position) {
    struct join *j = ctx;
    if (result != REGISTERED_OK) {
        refuse(j, "the connection could not be registered");
        return;
    }
    j->position = position;
    follow_compare(j->entry->follow, j->stood_at, position);
    if (!j->entry->is_placed) {
        j->entry->is_placed = true;
        follow_start_at(j->entry->follow, position);
    }
    set_state(j, JOIN_REPLAYING);
    if (j->has_resume && message_id_compare(j->resume, position) == 0) {
        j->is_recovered = true;
        complete(j);
    } else if (j->last > 0 || (j->has_resume && message_id_compare(j->resume, position) < 0)) {
        replay_in_turn(j);
    } else {
        complete(j);
    }
}

static void on_following(void *ctx, int status) {
    struct join *j = ctx;
    if (status < 0 || !bus_may_register(j->routes->bus)) {
        refuse(j, status < 0 || !bus_can_send(j->routes->bus)
                      ? "Redis is not reached"
                      : "Redis has not accepted this gateway's heartbeat yet");
        return;
    }
    set_state(j, JOIN_REGISTERING);
    uv_timer_stop(&j->deadline);
    j->stood_at = follow_position(j->entry->follow);
    client_register(j->client, false, on_registered, j);
}

/* A change of its groups came after its registration: it is in its value. What follows in the log
 * is for its new groups. */
static void regroup(struct join *j, const struct message *m) {
    struct conn_details details;
    if (!conn_details_decode(m->data, &details))
        return;
    (void)client_take_groups(j->client, &details);
    conn_details_free(&details);
}

void join_on_message(struct join *j, struct addressees *to) {
    bool holds = j->state == JOIN_REGISTERING || j->state == JOIN_REPLAYING;
    if (holds && to->m->kind == MESSAGE_GROUPS)
        regroup(j, to->m);
    if (!holds || !addressees_have(to, j->client))
        return;
    if (j->held_bytes > JOIN_HELD_MAX_BYTES)
        refuse(j, "too many messages while the connection was registered");
    else
        hold_message(j, &j->held, to->m);
}

void join_start(struct request *r, const struct join_options *options) {
    struct routes *routes = r->routes;
    struct join *j = mem_zalloc(sizeof(*j));
    j->routes = routes;
    j->request = r;
    j->client = options->client;
    j->carry = options->carry;
    j->wants_resume = options->wants_resume;
    j->is_told_live = options->wants_resume || options->wants_last;
    j->has_resume = options->has_resume;
    j->resume = options->resume;
    j->last = options->wants_resume ? 0 : options->last;
    STAILQ_INIT(&j->replayed);
    STAILQ_INIT(&j->held);
    j->entry = clients_enter(routes->clients, j->client->who.name);
    LIST_INSERT_HEAD(&j->entry->joins, j, link);
    request_work(r);
    request_set_worker(r, &worker, j);
    MUST(uv_timer_init(routes->loop, &j->deadline) == 0);
    MUST(uv_timer_start(&j->deadline, on_deadline, FOLLOW_MS, 0) == 0);
    follow_when_ready(j->entry->follow, on_following, j);
}
