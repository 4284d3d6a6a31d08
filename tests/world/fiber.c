/* fiber.c - see fiber.h. */
#include "tests/world/fiber.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#include "common/base/must.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

/* A process that is killed leaves its memory behind; so does a world. */
const char *__asan_default_options(void) {
    return "detect_leaks=0";
}

/* The program's own stack: asking is slow. */
static struct {
    void *bottom;
    size_t bytes;
} own;

static void find_own(void) {
    pthread_attr_t attr;
    MUST(pthread_getattr_np(pthread_self(), &attr) == 0);
    MUST(pthread_attr_getstack(&attr, &own.bottom, &own.bytes) == 0);
    pthread_attr_destroy(&attr);
}

static void leave(struct fiber *to, void **fake_out) {
    if (own.bottom == NULL)
        find_own();
    if (to->stack != NULL)
        __sanitizer_start_switch_fiber(fake_out, to->stack, to->stack_bytes);
    else
        __sanitizer_start_switch_fiber(fake_out, own.bottom, own.bytes);
}

static void arrive(void *fake) {
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
}
#else
static void leave(struct fiber *to, void **fake_out) {
    (void)to;
    (void)fake_out;
}

static void arrive(void *fake) {
    (void)fake;
}
#endif

static void enter(unsigned high, unsigned low) {
    struct fiber *f = (struct fiber *)((uintptr_t)high << 32 | low);
    arrive(NULL);
    f->fn(f->ctx);
    MUST(!"a fiber never returns");
}

void fiber_init(struct fiber *f, size_t stack_bytes, void (*fn)(void *ctx), void *ctx) {
    uintptr_t address = (uintptr_t)f;
    f->fn = fn;
    f->ctx = ctx;
    f->stack_bytes = stack_bytes;
    f->stack = mmap(NULL, stack_bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    MUST(f->stack != MAP_FAILED);
    MUST(mprotect(f->stack, 4096, PROT_NONE) == 0);
    MUST(getcontext(&f->context) == 0);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = stack_bytes;
    f->context.uc_link = NULL;
    makecontext(&f->context, (void (*)(void))enter, 2, (unsigned)(address >> 32),
                (unsigned)address);
}

void fiber_free(struct fiber *f) {
    if (f->stack != NULL)
        munmap(f->stack, f->stack_bytes);
    f->stack = NULL;
}

void fiber_switch(struct fiber *from, struct fiber *to) {
    leave(to, &from->fake_stack);
    MUST(swapcontext(&from->context, &to->context) == 0);
    arrive(from->fake_stack);
}

_Noreturn void fiber_switch_for_ever(struct fiber *from, struct fiber *to) {
    (void)from;
    leave(to, NULL);
    setcontext(&to->context);
    MUST(!"unreachable");
    __builtin_unreachable();
}
