/*
 * must.h - the three words of defence: MUST, MUST_CHECK and memory that never fails.
 *
 * MUST is for our own bugs and for exhausted memory: it logs one line and aborts, in release builds
 * too. What the world or a peer does wrong is never a MUST; it is a return value or a close reason.
 */
#ifndef SIGNALBOX_BASE_MUST_H
#define SIGNALBOX_BASE_MUST_H

#include <stddef.h>

#define MUST(cond) ((cond) ? (void)0 : must_fail(__FILE__, __LINE__, #cond))
/* A function off the fast path: it is never inlined, so that its registers cost its caller nothing.
 */
#define RARE                   __attribute__((cold, noinline))
#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* The owner of an embedded member: container_of(stream, struct conn, stream). */
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))

_Noreturn void must_fail(const char *file, int line, const char *what);

/* As malloc, calloc and realloc, but never NULL: no memory is a MUST. Free with free(). */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_realloc(void *ptr, size_t size);
char *mem_strdup(const char *text);

#endif
