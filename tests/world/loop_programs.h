/*
 * loop_programs.h - small programs over <uv.h> that write down what happens in which order. They
 * are run twice, over the real libuv and over the simulated one, and must say the same.
 */
#ifndef SIGNALBOX_WORLD_LOOP_PROGRAMS_H
#define SIGNALBOX_WORLD_LOOP_PROGRAMS_H

#include <stddef.h>
#include <uv.h>

struct loop_program {
    const char *name;
    void (*run)(uv_loop_t *loop);
};

/* Ends with a name that is NULL. */
extern const struct loop_program loop_programs[];
extern const struct loop_program stream_programs[];
/* A path for sockets; set before a program is run. */
extern const char *loop_path;

/* One line of what happened to one actor. Lines of one actor keep their order; who comes first
 * where the network decides is left open. */
void tell_line(const char *actor, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints the lines, actor by actor, and forgets them. */
void tell_all(const char *program);

#endif
