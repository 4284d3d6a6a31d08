/* loop_trace.c - see loop_programs.h: the lines, and main's part that both programs share. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/world/loop_programs.h"

enum { ACTORS_MAX = 16, TEXT_MAX = 8192 };

static struct {
    char name[32], text[TEXT_MAX];
    size_t len;
} actors[ACTORS_MAX];
static size_t count;

void tell_line(const char *actor, const char *format, ...) {
    va_list args;
    size_t i = 0;
    while (i < count && strcmp(actors[i].name, actor) != 0)
        i++;
    if (i == ACTORS_MAX)
        abort();
    if (i == count)
        snprintf(actors[count++].name, sizeof(actors[0].name), "%s", actor);
    int n = snprintf(actors[i].text + actors[i].len, TEXT_MAX - actors[i].len, "  %s: ", actor);
    actors[i].len += (size_t)n;
    va_start(args, format);
    n = vsnprintf(actors[i].text + actors[i].len, TEXT_MAX - actors[i].len - 1, format, args);
    va_end(args);
    actors[i].len += (size_t)n;
    if (actors[i].len + 2 > TEXT_MAX)
        abort();
    actors[i].text[actors[i].len++] = '\n';
    actors[i].text[actors[i].len] = '\0';
}

static int by_name(const void *a, const void *b) {
    return strcmp(a, b);
}

void tell_all(const char *program) {
    printf("%s\n", program);
    qsort(actors, count, sizeof(actors[0]), by_name);
    for (size_t i = 0; i < count; i++)
        fputs(actors[i].text, stdout);
    memset(actors, 0, sizeof(actors));
    count = 0;
    fflush(stdout);
}
