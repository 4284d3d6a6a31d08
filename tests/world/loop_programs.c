/*
 * loop_programs.c - see loop_programs.h: timers, watchers, closing, and how uv_run ends. What they
 * say does not depend on how late the real loop is.
 */
#include "tests/world/loop_programs.h"

#include "common/base/must.h"

static const char *name_of(const void *handle) {
    return ((const uv_handle_t *)handle)->data;
}

static void on_closed(uv_handle_t *h) {
    tell_line("loop", "closed %s", name_of(h));
}

static void on_timer(uv_timer_t *t) {
    tell_line("loop", "timer %s", name_of(t));
}

static void timer(uv_loop_t *loop, uv_timer_t *t, char *name, uv_timer_cb cb, uint64_t ms,
                  uint64_t repeat) {
    MUST(uv_timer_init(loop, t) == 0);
    t->data = name;
    MUST(uv_timer_start(t, cb, ms, repeat) == 0);
}

/* --- timers --- */

static void timers_of_one_moment(uv_loop_t *loop) {
    uv_timer_t t[5];
    timer(loop, &t[0], "a 3 ms", on_timer, 3, 0);
    timer(loop, &t[1], "b 1 ms", on_timer, 1, 0);
    timer(loop, &t[2], "c 3 ms", on_timer, 3, 0);
    timer(loop, &t[3], "d 0 ms", on_timer, 0, 0);
    timer(loop, &t[4], "e 1 ms", on_timer, 1, 0);
    MUST(uv_timer_start(&t[1], on_timer, 1, 0) == 0); /* again: behind e */
    tell_line("loop", "due in %d", (int)uv_timer_get_due_in(&t[0]));
    uv_run(loop, UV_RUN_DEFAULT);
    tell_line("loop", "active %d, alive %d", uv_is_active((uv_handle_t *)&t[0]),
              uv_loop_alive(loop));
}

static int rounds;

static void on_repeat(uv_timer_t *t) {
    tell_line("loop", "repeat %d active %d", ++rounds, uv_is_active((uv_handle_t *)t));
    if (rounds == 3)
        MUST(uv_timer_stop(t) == 0);
}

static void a_timer_repeats(uv_loop_t *loop) {
    uv_timer_t t;
    rounds = 0;
    timer(loop, &t, "", on_repeat, 1, 2);
    uv_run(loop, UV_RUN_DEFAULT);
    tell_line("loop", "stop again %d", uv_timer_stop(&t));
    uv_close((uv_handle_t *)&t, NULL);
    tell_line("loop", "start when closing %d", uv_timer_start(&t, on_repeat, 0, 0) == UV_EINVAL);
    uv_run(loop, UV_RUN_DEFAULT);
}

static uv_timer_t other, third;

static void on_first_of_three(uv_timer_t *t) {
    tell_line("loop", "first");
    MUST(uv_timer_stop(&other) == 0);
    timer(t->loop, &third, "started in a callback", on_timer, 0, 0);
}

static void a_timer_stops_and_starts_others(uv_loop_t *loop) {
    uv_timer_t t;
    timer(loop, &t, "", on_first_of_three, 1, 0);
    timer(loop, &other, "never", on_timer, 1, 0);
    uv_run(loop, UV_RUN_DEFAULT);
}

/* --- the phases of a turn --- */

static int turns;
static uv_idle_t idles[2];
static uv_prepare_t prepares[3];
static uv_check_t checks[2];

static void on_idle(uv_idle_t *h) {
    tell_line("loop", "idle %s", name_of(h));
}

static void on_prepare(uv_prepare_t *h) {
    tell_line("loop", "prepare %s", name_of(h));
    if (h == &prepares[1])
        uv_prepare_stop(&prepares[0]);
}

static void on_check(uv_check_t *h) {
    tell_line("loop", "check %s", name_of(h));
    if (h != &checks[0] || ++turns < 3)
        return;
    for (int i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&idles[i], on_closed);
        uv_close((uv_handle_t *)&checks[i], on_closed);
    }
    for (int i = 0; i < 3; i++)
        uv_close((uv_handle_t *)&prepares[i], on_closed);
}

static void the_phases_of_a_turn(uv_loop_t *loop) {
    static char *names[] = {"0", "1", "2"};
    uv_timer_t t;
    turns = 0;
    for (int i = 0; i < 2; i++) {
        uv_idle_init(loop, &idles[i]);
        uv_check_init(loop, &checks[i]);
        idles[i].data = checks[i].data = names[i];
        uv_check_start(&checks[i], on_check);
        uv_idle_start(&idles[i], on_idle);
        tell_line("loop", "start twice %d", uv_idle_start(&idles[i], on_idle));
    }
    for (int i = 0; i < 3; i++) {
        uv_prepare_init(loop, &prepares[i]);
        prepares[i].data = names[i];
        uv_prepare_start(&prepares[i], on_prepare);
    }
    timer(loop, &t, "0 ms", on_timer, 0, 0);
    uv_run(loop, UV_RUN_DEFAULT);
}

/* --- closing --- */

static uv_timer_t closers[3];

static void on_close_all(uv_timer_t *t) {
    (void)t;
    for (int i = 0; i < 3; i++) {
        uv_close((uv_handle_t *)&closers[i], on_closed);
        tell_line("loop", "closing %d active %d", uv_is_closing((uv_handle_t *)&closers[i]),
                  uv_is_active((uv_handle_t *)&closers[i]));
    }
}

static void on_prepare_close(uv_prepare_t *h) {
    tell_line("loop", "prepare");
    uv_close((uv_handle_t *)h, on_closed);
}

static void the_last_closed_is_called_first(uv_loop_t *loop) {
    uv_prepare_t p;
    timer(loop, &closers[0], "a", on_close_all, 0, 0);
    timer(loop, &closers[1], "b", on_timer, 0, 0);
    timer(loop, &closers[2], "c", on_timer, 100000, 0);
    uv_prepare_init(loop, &p);
    p.data = "p";
    uv_prepare_start(&p, on_prepare_close);
    uv_run(loop, UV_RUN_DEFAULT);
}

static void on_closed_closes(uv_handle_t *h) {
    tell_line("loop", "closed %s", name_of(h));
    uv_close((uv_handle_t *)&closers[1], on_closed);
}

static void a_close_in_a_close(uv_loop_t *loop) {
    timer(loop, &closers[0], "a", on_timer, 100000, 0);
    timer(loop, &closers[1], "b", on_timer, 100000, 0);
    uv_close((uv_handle_t *)&closers[0], on_closed_closes);
    tell_line("loop", "returned %d", uv_run(loop, UV_RUN_NOWAIT));
    tell_line("loop", "returned %d", uv_run(loop, UV_RUN_NOWAIT));
}

/* --- how uv_run ends --- */

static void on_stop(uv_timer_t *t) {
    tell_line("loop", "stops");
    uv_stop(t->loop);
}

static void how_it_ends(uv_loop_t *loop) {
    uv_timer_t t, far, unref;
    uv_check_t c;
    timer(loop, &unref, "unref", on_timer, 100000, 0);
    uv_unref((uv_handle_t *)&unref);
    tell_line("loop", "nothing but unref: %d", uv_run(loop, UV_RUN_DEFAULT));
    timer(loop, &t, "soon", on_timer, 1, 0);
    tell_line("loop", "once: %d", uv_run(loop, UV_RUN_ONCE));
    timer(loop, &far, "far", on_timer, 100000, 0);
    tell_line("loop", "nowait: %d", uv_run(loop, UV_RUN_NOWAIT));
    uv_check_init(loop, &c);
    c.data = "c";
    uv_check_start(&c, on_check);
    checks[0] = (uv_check_t){0};
    MUST(uv_timer_start(&t, on_stop, 0, 0) == 0);
    tell_line("loop", "stopped: %d", uv_run(loop, UV_RUN_DEFAULT));
    uv_stop(loop);
    tell_line("loop", "stopped before: %d", uv_run(loop, UV_RUN_DEFAULT));
    uv_close((uv_handle_t *)&far, on_closed);
    far.data = "far";
    uv_close((uv_handle_t *)&c, on_closed);
    uv_close((uv_handle_t *)&unref, on_closed);
    uv_close((uv_handle_t *)&t, on_closed);
    t.data = "t";
    tell_line("loop", "the end: %d", uv_run(loop, UV_RUN_DEFAULT));
}

static void on_ref_timer(uv_timer_t *t) {
    tell_line("loop", "timer %s", name_of(t));
    uv_unref((uv_handle_t *)&closers[1]);
}

static void unref_while_it_runs(uv_loop_t *loop) {
    timer(loop, &closers[0], "a", on_ref_timer, 1, 0);
    timer(loop, &closers[1], "b", on_timer, 100000, 0);
    tell_line("loop", "returned %d", uv_run(loop, UV_RUN_DEFAULT));
    uv_ref((uv_handle_t *)&closers[1]);
    tell_line("loop", "alive %d", uv_loop_alive(loop));
    uv_close((uv_handle_t *)&closers[1], on_closed);
    uv_run(loop, UV_RUN_DEFAULT);
}

const struct loop_program loop_programs[] = {
    {"timers of one moment", timers_of_one_moment},
    {"a timer repeats", a_timer_repeats},
    {"a timer stops and starts others", a_timer_stops_and_starts_others},
    {"the phases of a turn", the_phases_of_a_turn},
    {"the last closed is called first", the_last_closed_is_called_first},
    {"a close in a close", a_close_in_a_close},
    {"how it ends", how_it_ends},
    {"unref while it runs", unref_while_it_runs},
    {NULL, NULL}};
