/*
 * network.c - see network.h. Read tell (what an owner hears) and on_change (what the kernel does
 * when something has arrived).
 *
 * A struct conn outlives its ends: what was sent before a close still arrives.
 */
#include "tests/world/network.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uv.h>

#include "common/base/must.h"
#include "tests/world/network_faults.h"
#include "tests/world/process.h"
#include "tests/world/way.h"

enum { SYN_TRIES = 7, PIECE_MAX = 65536, KEEP_ALIVE_PROBES_S = 10 };

struct conn {
    TAILQ_ENTRY(conn) link;
    struct sock *ends[2]; /* NULL: closed, or not accepted yet */
    char addresses[2][ADDRESS_MAX];
    bool is_lost[2];    /* that end went down with its host */
    struct way ways[2]; /* from ends[i] to the other */
    struct net_manner manner;
    struct event syn;
    unsigned tries;
};

struct sock {
    TAILQ_ENTRY(sock) link; /* all */
    TAILQ_ENTRY(sock) in_backlog;
    TAILQ_HEAD(, sock) backlog; /* of a listener */
    struct sock *listener;      /* in whose backlog it waits */
    struct process *owner;
    const struct sock_events *events;
    void *ctx;
    void (*on_ready)(void *watcher);
    void *watcher;
    struct conn *conn; /* NULL: a listener */
    unsigned side;
    int status;        /* of its connect; UV_EALREADY: under way */
    int broken_status; /* why it broke, if not by a reset */
    bool is_told_open, is_told_end, is_told_broken, wants_drain, is_paused, is_shut;
    char address[ADDRESS_MAX]; /* of a listener */
    struct event poke, keep_alive;
    uint64_t keep_alive_us;
};

struct net_manner net_manner;

static struct {
    TAILQ_HEAD(, sock) socks;
    TAILQ_HEAD(, conn) conns;
    unsigned next_port;
} net = {TAILQ_HEAD_INITIALIZER(net.socks), TAILQ_HEAD_INITIALIZER(net.conns), 0};

void net_begin(void) {
    TAILQ_INIT(&net.socks);
    TAILQ_INIT(&net.conns);
    net.next_port = 32768;
    net_manner = (struct net_manner){.least_us = 50,
                                     .most_us = 2000,
                                     .split_ppm = 50000,
                                     .late_ppm = 0,
                                     .late_us = 200 * SIM_MS,
                                     .partial_ppm = 10000,
                                     .buffer_bytes = 131072};
    net_faults_begin();
}

static struct way *way_in(const struct sock *s) {
    return &s->conn->ways[1 - s->side];
}

static struct way *way_out(const struct sock *s) {
    return &s->conn->ways[s->side];
}

static struct sock *peer_of(const struct sock *s) {
    return s->conn->ends[1 - s->side];
}

/* Over a unix socket, which knows at once that nobody is there any more. */
static bool is_local(const struct conn *c) {
    return c->addresses[1][0] == '/';
}

static const char *who(const struct sock *s) {
    return s->owner != NULL ? process_name(s->owner) : "net";
}

static uint64_t soon_us(const struct conn *c) {
    return sim_now_us() + dice_skewed(sim_dice(), c->manner.least_us, c->manner.most_us);
}

/* --- telling the owner --- */

static bool is_open(const struct sock *s) {
    return s->conn != NULL && s->status == 0;
}

unsigned sock_ready(const struct sock *s) {
    if (s->conn == NULL)
        return TAILQ_EMPTY(&s->backlog) ? 0 : SOCK_ACCEPTABLE;
    if (s->status == UV_EALREADY)
        return 0;
    if (s->status != 0)
        return SOCK_CONNECTED;
    const struct way *in = way_in(s);
    unsigned ready = SOCK_CONNECTED;
    if (way_readable(in) > 0 || in->has_ended || in->has_broken)
        ready |= SOCK_READABLE;
    if (in->has_broken || s->is_shut || way_is_writable(way_out(s)))
        ready |= SOCK_WRITABLE;
    return ready;
}

static void on_poke(struct event *e);

static void poke(struct sock *s) {
    event_set(&s->poke, sim_now_us(), on_poke);
}

static void tell_data(struct sock *s) {
    static char bytes[PIECE_MAX];
    long n = sock_read(s, bytes, sizeof(bytes));
    poke(s); /* there may be more */
    if (n > 0) {
        s->events->on_data(s, bytes, (size_t)n);
        return;
    }
    s->is_told_end = true;
    s->events->on_end(s, (int)n);
}

/* One thing at a time, as the last of its caller: the owner may close s. */
static void tell(struct sock *s) {
    unsigned ready = sock_ready(s);
    struct sock *fresh;
    if (s->on_ready != NULL && ready != 0)
        s->on_ready(s->watcher);
    if (s->events == NULL || ready == 0 || (s->owner != NULL && process_is_stopped(s->owner)))
        return;
    if (ready & SOCK_ACCEPTABLE) {
        poke(s);
        if (sock_accept(s, &fresh) == 0)
            s->events->on_accept(s, fresh);
    } else if (!s->is_told_open) {
        s->is_told_open = true;
        poke(s);
        s->events->on_open(s, s->status);
    } else if (s->status == 0 && (ready & SOCK_READABLE) && !s->is_told_end &&
               (!s->is_paused || way_in(s)->has_broken)) {
        tell_data(s);
    } else if ((ready & SOCK_WRITABLE) && s->wants_drain && !s->is_told_end) {
        s->wants_drain = false;
        if (s->events->on_drain != NULL)
            s->events->on_drain(s);
    }
}

static void on_poke(struct event *e) {
    tell(container_of(e, struct sock, poke));
}

/* --- connections --- */

static struct sock *sock_new(struct process *owner) {
    struct sock *s = mem_zalloc(sizeof(*s));
    s->owner = owner;
    TAILQ_INIT(&s->backlog);
    TAILQ_INSERT_TAIL(&net.socks, s, link);
    return s;
}

static void leave_backlog(struct sock *s) {
    if (s->listener != NULL)
        TAILQ_REMOVE(&s->listener->backlog, s, in_backlog);
    s->listener = NULL;
}

static void sock_free(struct sock *s) {
    event_cancel(&s->poke);
    event_cancel(&s->keep_alive);
    leave_backlog(s);
    TAILQ_REMOVE(&net.socks, s, link);
    free(s);
}

static void conn_free_if_over(struct conn *c) {
    if (c->ends[0] != NULL || c->ends[1] != NULL)
        return;
    event_cancel(&c->syn);
    way_deinit(&c->ways[0]);
    way_deinit(&c->ways[1]);
    TAILQ_REMOVE(&net.conns, c, link);
    free(c);
}

static struct conn *conn_of_way(const struct way *w, unsigned *from_out) {
    struct conn *c = w->ctx;
    *from_out = w == &c->ways[1];
    return c;
}

static bool is_cut(struct way *w) {
    unsigned from;
    struct conn *c = conn_of_way(w, &from);
    const char *reader = c->addresses[1 - from];
    return net_cut_between(c->addresses[from], reader) == NET_STALL ||
           (c->is_lost[1 - from] && net_is_host_down(reader));
}

/* The reader's end is gone: its kernel answers with a reset. */
static void on_arrived_nowhere(struct conn *c, unsigned from) {
    struct way *w = &c->ways[from];
    bool is_news = way_readable(w) > 0 || c->is_lost[1 - from];
    w->read = w->arrived;
    if (is_news && c->ends[from] != NULL)
        way_break(&c->ways[1 - from], soon_us(c));
}

static void on_change(struct way *w) {
    unsigned from;
    struct conn *c = conn_of_way(w, &from);
    struct sock *writer = c->ends[from], *reader = c->ends[1 - from];
    struct way *back = &c->ways[1 - from];
    if (w->has_broken && writer != NULL && !back->has_broken && !back->is_finished)
        way_break(back, soon_us(c));
    if (writer != NULL && (writer->wants_drain || writer->on_ready != NULL))
        poke(writer);
    if (reader != NULL)
        tell(reader);
    else
        on_arrived_nowhere(c, from);
}

/* --- connecting --- */

static struct sock *find_listener(const char *address) {
    struct sock *s;
    TAILQ_FOREACH (s, &net.socks, link)
        if (s->conn == NULL && strcmp(s->address, address) == 0)
            return s;
    return NULL;
}

/* Any address of its own host is the host's. */
static void place(const struct process *owner, const char *address, char out[ADDRESS_MAX]) {
    static const char *const own[] = {"0.0.0.0:", "[::]:", "127.0.0.1:", "[::1]:"};
    for (size_t i = 0; owner != NULL && i < ARRAY_LEN(own); i++)
        if (strncmp(address, own[i], strlen(own[i])) == 0) {
            snprintf(out, ADDRESS_MAX, "%s:%s", process_host(owner), address + strlen(own[i]));
            return;
        }
    snprintf(out, ADDRESS_MAX, "%s", address);
}

bool net_is_listening(const struct process *p, const char *address) {
    char at[ADDRESS_MAX];
    place(p, address, at);
    return find_listener(at) != NULL;
}

struct sock *sock_listen(struct process *owner, const char *address,
                         const struct sock_events *events, void *ctx) {
    char at[ADDRESS_MAX];
    place(owner, address, at);
    if (find_listener(at) != NULL)
        return NULL;
    struct sock *s = sock_new(owner);
    snprintf(s->address, sizeof(s->address), "%s", at);
    s->events = events;
    s->ctx = ctx;
    return s;
}

static void on_syn_answered(struct event *e) {
    struct conn *c = container_of(e, struct conn, syn);
    struct sock *s = c->ends[0];
    if (s == NULL)
        return;
    s->status = c->tries > 0 ? 0 : UV_ECONNREFUSED;
    if (s->status == 0)
        sim_log(who(s), "connected %s to %s", c->addresses[0], c->addresses[1]);
    else
        sim_log(who(s), "refused %s by %s", c->addresses[0], c->addresses[1]);
    tell(s);
}

static void on_syn(struct event *e);

static void on_nobody_there(struct conn *c, unsigned tries) {
    struct sock *s = c->ends[0];
    if (tries < SYN_TRIES) {
        event_set(&c->syn, sim_now_us() + (SIM_SECOND << tries), on_syn);
        return;
    }
    s->status = UV_ETIMEDOUT;
    sim_log(who(s), "timed out %s to %s", c->addresses[0], c->addresses[1]);
    tell(s);
}

/* tries counts until the connection is made, and is not 0 from then on. */
static void on_syn(struct event *e) {
    struct conn *c = container_of(e, struct conn, syn);
    const char *from = c->addresses[0], *to = c->addresses[1];
    unsigned tries = c->tries++;
    if (net_cut_between(from, to) == NET_STALL || net_cut_between(to, from) == NET_STALL ||
        net_is_host_down(to)) {
        on_nobody_there(c, tries);
        return;
    }
    struct sock *listener =
        net_cut_between(from, to) == NET_REFUSE ? NULL : find_listener(c->addresses[1]);
    c->tries = listener != NULL;
    event_set(&c->syn, soon_us(c), on_syn_answered);
    if (listener == NULL)
        return;
    struct sock *s = sock_new(listener->owner);
    s->conn = c;
    s->side = 1;
    s->is_told_open = true;
    c->ends[1] = s;
    c->ways[1].last_us = c->syn.at_us;
    s->listener = listener;
    TAILQ_INSERT_TAIL(&listener->backlog, s, in_backlog);
    poke(listener);
}

static void start_connecting(struct sock *s, const char *from, const char *to) {
    struct conn *c = mem_zalloc(sizeof(*c));
    s->conn = c;
    s->status = UV_EALREADY;
    c->ends[0] = s;
    c->manner = net_manner;
    if (net.next_port == 61000)
        net.next_port = 32768;
    snprintf(c->addresses[0], ADDRESS_MAX, "%s:%u", from, net.next_port++);
    snprintf(c->addresses[1], ADDRESS_MAX, "%s", to);
    if (is_local(c))
        c->manner.least_us = c->manner.most_us = 10;
    for (int i = 0; i < 2; i++) {
        way_init(&c->ways[i], &c->manner, on_change, is_cut);
        c->ways[i].ctx = c;
    }
    TAILQ_INSERT_TAIL(&net.conns, c, link);
    event_set(&c->syn, soon_us(c), on_syn);
}

struct sock *sock_connect(struct process *owner, const char *from, const char *to,
                          const struct sock_events *events, void *ctx) {
    struct sock *s = sock_new(owner);
    char at[ADDRESS_MAX], host[ADDRESS_MAX], ip[64];
    const char *port = strrchr(to, ':');
    s->events = events;
    s->ctx = ctx;
    place(owner, to, at);
    snprintf(host, sizeof(host), "%.*s", port != NULL ? (int)(port - to) : 0, to);
    int status = to[0] == '/' ? 0 : net_look_up(host, ip);
    if (status == 0 && to[0] != '/' && strcmp(host, ip) != 0)
        snprintf(at, sizeof(at), "%s%s", ip, port);
    start_connecting(s, from != NULL ? from : process_host(owner), at);
    if (status != 0) {
        s->status = status;
        event_cancel(&s->conn->syn);
        poke(s);
    }
    return s;
}

int sock_connect_status(const struct sock *s) {
    return s->status;
}

int sock_accept(struct sock *listener, struct sock **fresh_out) {
    struct sock *s = TAILQ_FIRST(&listener->backlog);
    int status = net_take_accept_failure(listener->address);
    if (s == NULL || status != 0)
        return s == NULL ? UV_EAGAIN : status;
    leave_backlog(s);
    s->events = listener->events;
    s->ctx = listener->ctx;
    if (s->events != NULL)
        poke(s);
    *fresh_out = s;
    return 0;
}

/* --- reading and writing --- */

long sock_read(struct sock *s, void *out, size_t room) {
    struct way *in = way_in(s);
    if (way_readable(in) > 0)
        return (long)way_read(in, out, room);
    if (in->has_broken) {
        s->is_told_broken = true;
        return s->broken_status != 0 ? s->broken_status : UV_ECONNRESET;
    }
    return in->has_ended ? 0 : UV_EAGAIN;
}

/* Of a process it may be the last thing that it does. */
long sock_write(struct sock *s, const void *bytes, size_t len) {
    if (s->status != 0)
        return s->status == UV_EALREADY ? UV_EAGAIN : s->status;
    if (way_in(s)->has_broken && !s->is_told_broken) {
        s->is_told_broken = true;
        return s->broken_status != 0 ? s->broken_status : UV_ECONNRESET;
    }
    if (way_in(s)->has_broken || s->is_shut || (is_local(s->conn) && peer_of(s) == NULL))
        return UV_EPIPE;
    size_t allowed = process_write_allowance(len), taken = way_write(way_out(s), bytes, allowed);
    process_wrote();
    s->wants_drain = taken < len;
    return (long)taken;
}

size_t sock_unacked(const struct sock *s) {
    return is_open(s) ? (size_t)(way_out(s)->written - way_out(s)->arrived) : 0;
}

void sock_shutdown(struct sock *s) {
    s->is_shut = true;
    way_finish(way_out(s));
}

void sock_pause(struct sock *s, bool is_paused) {
    s->is_paused = is_paused;
    if (!is_paused)
        poke(s);
}

/* --- the end --- */

static void close_listener(struct sock *s) {
    struct sock *waiting;
    while ((waiting = TAILQ_FIRST(&s->backlog)) != NULL)
        sock_reset(waiting);
    sock_free(s);
}

static void leave(struct sock *s) {
    struct conn *c = s->conn;
    c->ends[s->side] = NULL;
    sock_free(s);
    conn_free_if_over(c);
}

void sock_close(struct sock *s) {
    if (s->conn == NULL)
        close_listener(s);
    else if (s->status == 0 && way_readable(way_in(s)) > 0)
        sock_reset(s);
    else {
        if (s->status == 0 && !way_in(s)->has_broken)
            way_finish(way_out(s));
        else if (s->status == UV_EALREADY && s->conn->ends[1] != NULL)
            way_break(way_out(s), soon_us(s->conn));
        leave(s);
    }
}

void sock_reset(struct sock *s) {
    if (s->status == 0 || s->conn->ends[1] != NULL)
        way_break(way_out(s), soon_us(s->conn));
    leave(s);
}

void net_process_died(struct process *p, bool with_host) {
    struct sock *s;
    if (with_host)
        net_host_goes_down(process_host(p));
again: /* the end of a listener removes others */
    TAILQ_FOREACH (s, &net.socks, link) {
        if (s->owner != p || (with_host && s->conn == NULL && !TAILQ_EMPTY(&s->backlog)))
            continue;
        if (with_host && s->conn != NULL) {
            s->conn->is_lost[s->side] = true;
            leave(s);
        } else {
            sock_close(s);
        }
        goto again;
    }
}

void net_process_continued(struct process *p) {
    struct sock *s;
    TAILQ_FOREACH (s, &net.socks, link)
        if (s->owner == p && s->events != NULL)
            poke(s);
}

void net_process_started(struct process *p) {
    if (net_host_comes_up(process_host(p)))
        net_go_on();
}

/* --- keep-alive --- */

static bool hears_nothing(const struct sock *s) {
    const struct conn *c = s->conn;
    const char *own = c->addresses[s->side], *other = c->addresses[1 - s->side];
    return net_cut_between(own, other) == NET_STALL || net_cut_between(other, own) == NET_STALL ||
           (c->is_lost[1 - s->side] && net_is_host_down(other));
}

static void on_keep_alive(struct event *e) {
    struct sock *s = container_of(e, struct sock, keep_alive);
    if (!is_open(s) || way_in(s)->has_broken)
        return;
    if (hears_nothing(s) && sock_unacked(s) == 0) {
        way_in(s)->has_broken = true;
        s->broken_status = UV_ETIMEDOUT;
        sim_log(who(s), "keep-alive found %s dead", sock_peer_address(s));
        tell(s);
        return;
    }
    if (s->conn->is_lost[1 - s->side])
        way_break(way_in(s), soon_us(s->conn));
    event_set(e, sim_now_us() + s->keep_alive_us, on_keep_alive);
}

void sock_keep_alive(struct sock *s, uint64_t seconds) {
    s->keep_alive_us = (seconds + KEEP_ALIVE_PROBES_S) * SIM_SECOND;
    event_set(&s->keep_alive, sim_now_us() + s->keep_alive_us, on_keep_alive);
}

/* --- all connections --- */

void net_go_on(void) {
    struct conn *c;
    TAILQ_FOREACH (c, &net.conns, link)
        for (int i = 0; i < 2; i++)
            if (!is_cut(&c->ways[i]))
                way_go_on(&c->ways[i]);
}

unsigned net_reset_all(const char *a, const char *b) {
    struct conn *c;
    unsigned count = 0;
    TAILQ_FOREACH (c, &net.conns, link) {
        if (c->ends[0] == NULL || c->ends[1] == NULL || !net_are_hosts(a, b, c->addresses))
            continue;
        way_break(&c->ways[0], sim_now_us());
        way_break(&c->ways[1], sim_now_us());
        count++;
    }
    sim_log("net", "reset %u connections between %s and %s", count, a, b);
    return count;
}

void net_reset_all_after(const char *a, const char *b, size_t bytes) {
    struct conn *c;
    TAILQ_FOREACH (c, &net.conns, link)
        for (int i = 0; i < 2; i++)
            if (net_is_host(a, c->addresses[i]) && net_is_host(b, c->addresses[1 - i]))
                c->ways[i].reset_at = c->ways[i].arrived + bytes;
    sim_log("net", "what comes from %s to %s breaks after %zu bytes", a, b, bytes);
}

void sock_reset_after(struct sock *s, size_t bytes) {
    if (is_open(s))
        way_in(s)->reset_at = way_in(s)->arrived + bytes;
}

/* --- questions --- */

void sock_watch(struct sock *s, void (*on_ready)(void *watcher), void *watcher) {
    s->on_ready = on_ready;
    s->watcher = watcher;
    if (on_ready != NULL && sock_ready(s) != 0)
        on_ready(watcher);
}

void *sock_ctx(const struct sock *s) {
    return s->ctx;
}

void sock_set_ctx(struct sock *s, void *ctx) {
    s->ctx = ctx;
}

void sock_set_events(struct sock *s, const struct sock_events *events, void *ctx) {
    s->events = events;
    s->ctx = ctx;
    poke(s);
}

const char *sock_address(const struct sock *s) {
    return s->conn == NULL ? s->address : s->conn->addresses[s->side];
}

const char *sock_peer_address(const struct sock *s) {
    return s->conn == NULL ? "" : s->conn->addresses[1 - s->side];
}
