/*
 * uv_loop.c - see uv_world.h: the loop itself, timers, prepare, check and idle, signals, and the
 * end of handles. Read uv_run.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/world/uv_world.h"

enum { FD_FIRST = 1 << 20 };

void list_move(struct node *from, struct node *to) {
    list_init(to);
    if (list_is_empty(from))
        return;
    *to = *from;
    to->next->prev = to->prev->next = to;
    list_init(from);
}

/* --- handles --- */

void handle_init(uv_loop_t *loop, void *handle, uv_handle_type type) {
    uv_handle_t *h = handle;
    h->loop = loop;
    h->type = type;
    h->flags = HANDLE_REF;
    h->next_closing = NULL;
    h->close_cb = NULL;
}

void handle_start(void *handle) {
    uv_handle_t *h = handle;
    if (h->flags & HANDLE_ACTIVE)
        return;
    h->flags |= HANDLE_ACTIVE;
    if (h->flags & HANDLE_REF)
        h->loop->active_handles++;
}

void handle_stop(void *handle) {
    uv_handle_t *h = handle;
    if ((h->flags & HANDLE_ACTIVE) == 0)
        return;
    h->flags &= ~(unsigned)HANDLE_ACTIVE;
    if (h->flags & HANDLE_REF)
        h->loop->active_handles--;
}

void uv_ref(uv_handle_t *h) {
    if (h->flags & HANDLE_REF)
        return;
    h->flags |= HANDLE_REF;
    if (h->flags & HANDLE_ACTIVE)
        h->loop->active_handles++;
}

void uv_unref(uv_handle_t *h) {
    if ((h->flags & HANDLE_REF) == 0)
        return;
    h->flags &= ~(unsigned)HANDLE_REF;
    if (h->flags & HANDLE_ACTIVE)
        h->loop->active_handles--;
}

int uv_is_active(const uv_handle_t *h) {
    return handle_has(h, HANDLE_ACTIVE);
}

int uv_is_closing(const uv_handle_t *h) {
    return handle_has(h, HANDLE_CLOSING | HANDLE_CLOSED);
}

/* --- timers: a heap by due time, then by the order of their starts --- */

static bool is_earlier(const uv_timer_t *a, const uv_timer_t *b) {
    return a->timeout != b->timeout ? a->timeout < b->timeout : a->start_id < b->start_id;
}

static unsigned timer_place(const uv_timer_t *t) {
    return (unsigned)(uintptr_t)t->heap_node[0];
}

static void put_timer(struct loop *l, uv_timer_t *t, unsigned place) {
    l->timers[place] = t;
    t->heap_node[0] = (void *)(uintptr_t)place;
}

static void rise_timer(struct loop *l, uv_timer_t *t, unsigned place) {
    for (; place > 1 && is_earlier(t, l->timers[place / 2]); place /= 2)
        put_timer(l, l->timers[place / 2], place);
    put_timer(l, t, place);
}

static void sink_timer(struct loop *l, uv_timer_t *t, unsigned place) {
    for (unsigned child; (child = 2 * place) <= l->timers_count; place = child) {
        if (child < l->timers_count && is_earlier(l->timers[child + 1], l->timers[child]))
            child++;
        if (!is_earlier(l->timers[child], t))
            break;
        put_timer(l, l->timers[child], place);
    }
    put_timer(l, t, place);
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *t) {
    handle_init(loop, t, UV_TIMER);
    t->timer_cb = NULL;
    t->timeout = t->repeat = 0;
    return 0;
}

int uv_timer_start(uv_timer_t *t, uv_timer_cb cb, uint64_t timeout, uint64_t repeat) {
    struct loop *l = loop_of(t->loop);
    if (handle_has(t, HANDLE_CLOSING | HANDLE_CLOSED) || cb == NULL)
        return UV_EINVAL;
    uv_timer_stop(t);
    t->timer_cb = cb;
    t->timeout = t->loop->time + timeout;
    if (t->timeout < timeout)
        t->timeout = UINT64_MAX;
    t->repeat = repeat;
    t->start_id = t->loop->timer_counter++;
    if (l->timers_count + 1 >= l->timers_room) {
        l->timers_room = l->timers_room == 0 ? 64 : 2 * l->timers_room;
        l->timers = mem_realloc(l->timers, l->timers_room * sizeof(uv_timer_t *));
    }
    rise_timer(l, t, ++l->timers_count);
    handle_start(t);
    return 0;
}

int uv_timer_stop(uv_timer_t *t) {
    struct loop *l = loop_of(t->loop);
    if (!handle_has(t, HANDLE_ACTIVE))
        return 0;
    unsigned at = timer_place(t);
    uv_timer_t *last = l->timers[l->timers_count--];
    if (last != t) {
        rise_timer(l, last, at);
        sink_timer(l, last, timer_place(last));
    }
    handle_stop(t);
    return 0;
}

int uv_timer_again(uv_timer_t *t) {
    if (t->timer_cb == NULL)
        return UV_EINVAL;
    if (t->repeat > 0)
        uv_timer_start(t, t->timer_cb, t->repeat, t->repeat);
    return 0;
}

uint64_t uv_timer_get_due_in(const uv_timer_t *t) {
    return t->loop->time >= t->timeout ? 0 : t->timeout - t->loop->time;
}

static void run_timers(struct loop *l) {
    while (l->timers_count > 0 && l->timers[1]->timeout <= l->uv->time) {
        uv_timer_t *t = l->timers[1];
        uv_timer_stop(t);
        uv_timer_again(t);
        t->timer_cb(t);
    }
}

/* --- prepare, check, idle: the last that was started runs first --- */

#define WATCHER(name, NAME)                                                                        \
    int uv_##name##_init(uv_loop_t *loop, uv_##name##_t *h) {                                      \
        handle_init(loop, h, UV_##NAME);                                                           \
        h->name##_cb = NULL;                                                                       \
        return 0;                                                                                  \
    }                                                                                              \
    int uv_##name##_start(uv_##name##_t *h, uv_##name##_cb cb) {                                   \
        if (handle_has(h, HANDLE_ACTIVE))                                                          \
            return 0;                                                                              \
        if (cb == NULL)                                                                            \
            return UV_EINVAL;                                                                      \
        list_insert(loop_of(h->loop)->name.next, (struct node *)h->queue);                         \
        h->name##_cb = cb;                                                                         \
        handle_start(h);                                                                           \
        return 0;                                                                                  \
    }                                                                                              \
    int uv_##name##_stop(uv_##name##_t *h) {                                                       \
        if (!handle_has(h, HANDLE_ACTIVE))                                                         \
            return 0;                                                                              \
        list_remove((struct node *)h->queue);                                                      \
        handle_stop(h);                                                                            \
        return 0;                                                                                  \
    }                                                                                              \
    static void run_##name(struct loop *l) {                                                       \
        struct node now;                                                                           \
        list_move(&l->name, &now);                                                                 \
        while (!list_is_empty(&now)) {                                                             \
            struct node *n = now.next;                                                             \
            list_remove(n);                                                                        \
            list_insert(&l->name, n);                                                              \
            uv_##name##_t *h = container_of((void *)n, uv_##name##_t, queue);                      \
            h->name##_cb(h);                                                                       \
        }                                                                                          \
    }

WATCHER(prepare, PREPARE)
WATCHER(check, CHECK)
WATCHER(idle, IDLE)

/* --- polls: only the listeners' claims use them, and nobody connects to those --- */

int uv_poll_init(uv_loop_t *loop, uv_poll_t *h, int fd) {
    (void)fd;
    handle_init(loop, h, UV_POLL);
    return 0;
}

int uv_poll_start(uv_poll_t *h, int events, uv_poll_cb cb) {
    (void)events;
    h->poll_cb = cb;
    handle_start(h);
    return 0;
}

int uv_poll_stop(uv_poll_t *h) {
    handle_stop(h);
    return 0;
}

/* --- signals --- */

int uv_signal_init(uv_loop_t *loop, uv_signal_t *h) {
    handle_init(loop, h, UV_SIGNAL);
    h->signum = 0;
    return 0;
}

int uv_signal_start(uv_signal_t *h, uv_signal_cb cb, int signum) {
    struct loop *l = loop_of(h->loop);
    h->signal_cb = cb;
    if (h->signum == 0)
        list_insert(&l->signals, (struct node *)&h->tree_entry);
    h->signum = signum;
    process_catch(l->process, signum, true);
    handle_start(h);
    return 0;
}

int uv_signal_stop(uv_signal_t *h) {
    if (h->signum == 0)
        return 0;
    list_remove((struct node *)&h->tree_entry);
    process_catch(loop_of(h->loop)->process, h->signum, false);
    h->signum = 0;
    handle_stop(h);
    return 0;
}

static void run_signals(struct loop *l) {
    for (int number; (number = process_take_signal(l->process)) != 0;)
        for (struct node *n = l->signals.next, *next; n != &l->signals; n = next) {
            uv_signal_t *h = container_of((void *)n, uv_signal_t, tree_entry);
            next = n->next;
            if (h->signum == number)
                h->signal_cb(h, number);
        }
}

/* --- wires --- */

static struct {
    struct wire **items; /* by fd */
    unsigned count, room;
} wires;

struct wire *wire_new(uv_loop_t *loop, void *handle,
                      void (*on_io)(struct wire *w, unsigned ready)) {
    struct wire *w = mem_zalloc(sizeof(*w));
    unsigned at = 0;
    w->loop = loop_of(loop);
    list_init(&w->in_ready);
    w->handle = handle;
    w->on_io = on_io;
    while (at < wires.count && wires.items[at] != NULL)
        at++;
    if (at == wires.room) {
        wires.room = wires.room == 0 ? 64 : 2 * wires.room;
        wires.items = mem_realloc(wires.items, wires.room * sizeof(struct wire *));
    }
    wires.count = at == wires.count ? at + 1 : wires.count;
    wires.items[at] = w;
    w->fd = FD_FIRST + (int)at;
    return w;
}

void wire_free(struct wire *w) {
    event_cancel(&w->done);
    list_remove(&w->in_ready);
    wires.items[w->fd - FD_FIRST] = NULL;
    free(w);
}

struct wire *wire_of_fd(int fd) {
    return fd >= FD_FIRST && (unsigned)(fd - FD_FIRST) < wires.count ? wires.items[fd - FD_FIRST]
                                                                     : NULL;
}

void wire_make_ready(struct wire *w) {
    if (list_is_empty(&w->in_ready))
        list_insert(&w->loop->ready, &w->in_ready);
    process_wake(w->loop->process);
}

static void on_done(struct event *e) {
    wire_make_ready(container_of(e, struct wire, done));
}

void wire_work(struct wire *w, uint64_t least_us, uint64_t most_us) {
    event_set(&w->done, sim_now_us() + dice_skewed(sim_dice(), least_us, most_us), on_done);
}

/* --- the loop --- */

int uv_loop_init(uv_loop_t *uv) {
    struct loop *l = mem_zalloc(sizeof(*l));
    memset(uv, 0, sizeof(*uv));
    uv->internal_fields = l;
    l->uv = uv;
    l->process = process_current();
    struct node *lists[] = {&l->idle, &l->prepare, &l->check, &l->pending, &l->signals, &l->ready};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        list_init(lists[i]);
    process_set_loop(l->process, l);
    uv_update_time(uv);
    return 0;
}

int uv_loop_close(uv_loop_t *uv) {
    struct loop *l = loop_of(uv);
    if (uv_loop_alive(uv))
        return UV_EBUSY;
    free(l->timers);
    free(l);
    uv->internal_fields = NULL;
    return 0;
}

uv_loop_t *uv_default_loop(void) {
    struct loop *l = process_loop(process_current());
    if (l == NULL) {
        MUST(uv_loop_init(mem_zalloc(sizeof(uv_loop_t))) == 0);
        l = process_loop(process_current());
    }
    return l->uv;
}

void uv_update_time(uv_loop_t *uv) {
    uv->time = process_clock_us(loop_of(uv)->process) / 1000;
}

uint64_t uv_now(const uv_loop_t *uv) {
    return uv->time;
}

uint64_t uv_hrtime(void) {
    return process_clock_us(process_current()) * 1000;
}

void uv_stop(uv_loop_t *uv) {
    uv->stop_flag = 1;
}

int uv_loop_alive(const uv_loop_t *uv) {
    return uv->active_handles > 0 || uv->active_reqs.count > 0 || uv->closing_handles != NULL;
}

/* Until what time of its clock it may wait. */
static uint64_t wait_until_us(const struct loop *l) {
    const uv_loop_t *uv = l->uv;
    bool has_work = uv->active_handles > 0 || uv->active_reqs.count > 0;
    if (uv->stop_flag != 0 || !has_work || uv->closing_handles != NULL ||
        !list_is_empty(&l->idle) || !list_is_empty(&l->pending))
        return 0;
    return l->timers_count == 0 ? SIM_NEVER : l->timers[1]->timeout * 1000;
}

/* Those that are ready now. What stays ready has its next turn at the end of the list. */
static void run_ready(struct loop *l) {
    struct node now;
    list_move(&l->ready, &now);
    while (!list_is_empty(&now)) {
        struct wire *w = container_of(now.next, struct wire, in_ready);
        unsigned ready = w->sock != NULL ? sock_ready(w->sock) & w->interest : 0;
        int fd = w->fd;
        list_remove(&w->in_ready);
        if (w->sock == NULL || ready != 0)
            w->on_io(w, ready);
        if (wire_of_fd(fd) == w && w->sock != NULL && (sock_ready(w->sock) & w->interest) != 0)
            wire_make_ready(w);
    }
}

static void poll_once(struct loop *l, uint64_t until_us) {
    process_wait(list_is_empty(&l->ready) ? until_us : 0);
    uv_update_time(l->uv);
    run_ready(l);
    run_signals(l);
}

static void run_pending(struct loop *l) {
    struct node now;
    list_move(&l->pending, &now);
    while (!list_is_empty(&now)) {
        struct node *n = now.next;
        list_remove(n);
        stream_on_pending(container_of((void *)n, uv_stream_t, io_watcher.pending_queue));
    }
}

static void run_closing(uv_loop_t *uv) {
    uv_handle_t *next, *h = uv->closing_handles;
    for (uv->closing_handles = NULL; h != NULL; h = next) {
        next = h->next_closing;
        h->flags |= HANDLE_CLOSED;
        if (h->type == UV_TCP || h->type == UV_NAMED_PIPE)
            stream_finish_close((uv_stream_t *)h);
        uv_unref(h);
        if (h->close_cb != NULL)
            h->close_cb(h);
    }
}

int uv_run(uv_loop_t *uv, uv_run_mode mode) {
    struct loop *l = loop_of(uv);
    if (!uv_loop_alive(uv))
        uv_update_time(uv);
    while (uv_loop_alive(uv) && uv->stop_flag == 0) {
        uv_update_time(uv);
        run_timers(l);
        bool had_pending = !list_is_empty(&l->pending);
        run_pending(l);
        run_idle(l);
        run_prepare(l);
        bool waits = mode == UV_RUN_DEFAULT || (mode == UV_RUN_ONCE && !had_pending);
        poll_once(l, waits ? wait_until_us(l) : 0);
        run_check(l);
        run_closing(uv);
        if (mode == UV_RUN_ONCE) {
            uv_update_time(uv);
            run_timers(l);
        }
        if (mode != UV_RUN_DEFAULT)
            break;
    }
    uv->stop_flag = 0;
    return uv_loop_alive(uv);
}

/* --- the end of handles --- */

void uv_close(uv_handle_t *h, uv_close_cb cb) {
    MUST(!uv_is_closing(h));
    h->flags |= HANDLE_CLOSING;
    h->close_cb = cb;
    switch ((int)h->type) {
    case UV_TIMER: uv_timer_stop((uv_timer_t *)h); break;
    case UV_PREPARE: uv_prepare_stop((uv_prepare_t *)h); break;
    case UV_CHECK: uv_check_stop((uv_check_t *)h); break;
    case UV_IDLE: uv_idle_stop((uv_idle_t *)h); break;
    case UV_SIGNAL: uv_signal_stop((uv_signal_t *)h); break;
    case UV_POLL: uv_poll_stop((uv_poll_t *)h); break;
    default: stream_stop_for_close((uv_stream_t *)h); break;
    }
    h->next_closing = h->loop->closing_handles;
    h->loop->closing_handles = h;
}
