/* must.c - see must.h. Writes with write(2) only, so that it works when nothing else does. */
#include "common/base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn void must_fail(const char *file, int line, const char *what) {
    char text[512];
    int n = snprintf(text, sizeof(text), "level=fatal msg=\"%s\" at=%s:%d\n", what, file, line);
    if (n > 0 &&
        write(STDERR_FILENO, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1) < 0)
        _exit(134);
    abort();
}

void *mem_alloc(size_t size) {
    void *p = malloc(size ? size : 1);
    MUST(p != NULL);
    return p;
}

void *mem_zalloc(size_t size) {
    void *p = calloc(1, size ? size : 1);
    MUST(p != NULL);
    return p;
}

void *mem_realloc(void *ptr, size_t size) {
    void *p = realloc(ptr, size ? size : 1);
    MUST(p != NULL);
    return p;
}

char *mem_strdup(const char *text) {
    size_t n = strlen(text) + 1;
    return memcpy(mem_alloc(n), text, n);
}
