/*
 * process.h - the processes of the world: the product's own main(), run on a stack of its own
 * until it would wait, one turn of its loop after the other, among all the others on one thread.
 *
 * A process has its host ("10.0.0.1"), its arguments, its own mutable globals (the linker gathers
 * those of the product's objects in one section, world.ld; a switch copies it) and its own clocks.
 * Between turns the globals of some process are in place: while processes live, the driver itself
 * uses no code of the product that keeps state.
 *
 * A process without a main is something that the driver plays itself, such as Redis: it owns
 * sockets, can be stopped and killed, and lives until then.
 */
#ifndef SIGNALBOX_WORLD_PROCESS_H
#define SIGNALBOX_WORLD_PROCESS_H

#include "tests/world/sim.h"

typedef int main_fn(int argc, char **argv);

enum process_state {
    PROCESS_NEW,
    PROCESS_ALIVE,
    PROCESS_ENDED /* returned from main */,
    PROCESS_KILLED
};

struct process;

/* The name is for the log. main NULL: played by the driver. argv ends with NULL and includes the
 * program's name; all is copied. It starts with process_start. */
struct process *process_new(const char *name, const char *host, main_fn *main,
                            const char *const *argv);
/* Starts it, or starts it again with the same arguments; not while it is alive. */
void process_start(struct process *p);
/* When it has ended by itself or was killed; may be NULL. */
void process_on_end(struct process *p, void (*fn)(struct process *p, void *ctx), void *ctx);

const char *process_name(const struct process *p);
const char *process_host(const struct process *p);
enum process_state process_state(const struct process *p);
static inline bool process_is_alive(const struct process *p) {
    return process_state(p) == PROCESS_ALIVE;
}
int process_exit_code(const struct process *p);
/* Which life of it this is: 1 after the first start. */
unsigned process_life(const struct process *p);

/* --- faults; none has an effect on a process that is not alive --- */

/* SIGTERM, SIGINT, SIGHUP: as the product handles them. */
void process_signal(struct process *p, int number);
/* kill -9. The kernel closes its sockets. */
void process_kill(struct process *p);
/* Its host loses power: its peers hear nothing. */
void process_lose(struct process *p);
/* kill -9 in the middle of a turn: within its writes-th write from now on, of which a part is
 * accepted. */
void process_kill_at_write(struct process *p, unsigned writes);
/* SIGSTOP there. */
void process_stop_at_write(struct process *p, unsigned writes);
/* SIGSTOP and SIGCONT. Clocks go on. */
void process_stop(struct process *p);
void process_continue(struct process *p);
bool process_is_stopped(const struct process *p);
/* How long a turn of its loop takes; normally 5 to 50 µs. */
void process_set_turn_us(struct process *p, uint64_t least_us, uint64_t most_us);
/* The wall clock jumps. */
void process_jump_clock(struct process *p, int64_t ms);
/* Both clocks go faster by this many parts in a million, or slower. */
void process_set_rate(struct process *p, int ppm);
/* What the allocator says is in use, as memory_budget.c sees it: on top of what it counts itself. */
void process_set_memory(struct process *p, uint64_t bytes);

/* --- clocks --- */

/* The wall clocks of a story begin so long after the year's beginning. */
void process_begin_clocks(uint64_t begin_us);
/* Of p; NULL: of the outside world, whose wall clock is right. */
uint64_t process_clock_us(const struct process *p); /* monotonic */
uint64_t process_wall_us(const struct process *p);

/* --- for the simulated libuv and system calls --- */

/* The one whose turn it is; NULL: none. */
struct process *process_current(void);
struct dice *process_dice(struct process *p);
unsigned process_pid(const struct process *p);
uint64_t process_memory(const struct process *p);
/* The current one waits until its clock shows that time (SIM_NEVER: for ever) or it is woken. */
void process_wait(uint64_t until_clock_us);
/* It does not wait any more; harmless if it did not. */
void process_wake(struct process *p);
/* Around each write of the current one: how many of len bytes may be accepted; and process_wrote
 * does not return if the process was to die there. */
size_t process_write_allowance(size_t len);
void process_wrote(void);
/* Whether it handles the signal; if not, the signal kills it. */
void process_catch(struct process *p, int number, bool is_caught);
/* What its loop keeps for it; gone with its life. */
void process_set_loop(struct process *p, void *loop);
void *process_loop(const struct process *p);
/* A signal that was sent and that the loop has not taken; 0: none. */
int process_take_signal(struct process *p);

#endif
