/*
 * fiber.h - a stack of its own for whatever has to stop in the middle and go on later; known to the
 * address sanitizer.
 */
#ifndef SIGNALBOX_WORLD_FIBER_H
#define SIGNALBOX_WORLD_FIBER_H

#include <stddef.h>
#include <ucontext.h>

struct fiber {
    ucontext_t context;
    void *stack; /* NULL: the program's own, or none */
    size_t stack_bytes;
    void *fake_stack; /* of the sanitizer, while it does not run */
    void (*fn)(void *ctx);
    void *ctx;
};

/* fn must not return: it ends with fiber_switch_for_ever. */
void fiber_init(struct fiber *f, size_t stack_bytes, void (*fn)(void *ctx), void *ctx);
/* Not while it runs. */
void fiber_free(struct fiber *f);
/* Returns when somebody switches back. */
void fiber_switch(struct fiber *from, struct fiber *to);
_Noreturn void fiber_switch_for_ever(struct fiber *from, struct fiber *to);

#endif
