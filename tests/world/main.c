/*
 * main.c - build/bin/world: tells one story of the simulated world and says how it ended. Many of
 * them, on all cores, and shrunk when they fail: ./dev world (hunt.py).
 *
 *     world --seed N [--faults 1,4] [--clients N] [--messages N] [--seconds N] [--app DIR] [--log]
 *
 * Exit status: 0 all is well, 1 an invariant is broken, 2 the command line is wrong.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/world/story/story.h"

static int usage(void) {
    fputs("usage: world --seed N [--faults 1,4] [--clients N] [--messages N] [--seconds N] "
          "[--app DIR] [--log]\n",
          stderr);
    return 2;
}

int main(int argc, char **argv) {
    struct story_options o = {.app = "tests/world/app"};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--log") == 0) {
            o.log = stdout;
            continue;
        }
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (value == NULL)
            return usage();
        if (strcmp(argv[i], "--seed") == 0)
            o.seed = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--faults") == 0)
            o.faults = value;
        else if (strcmp(argv[i], "--clients") == 0)
            o.clients = (unsigned)atoi(value);
        else if (strcmp(argv[i], "--messages") == 0)
            o.messages = (unsigned)atoi(value);
        else if (strcmp(argv[i], "--seconds") == 0)
            o.seconds = (unsigned)atoi(value);
        else if (strcmp(argv[i], "--app") == 0)
            o.app = value;
        else
            return usage();
        i++;
    }
    struct story_result r;
    story_tell(&o, &r);
    printf("seed %llu: %s; %.1f s, %u faults, %u clients, %llu messages, %llu delivered, %llu "
           "connections, %llu events, %llu steps\n",
           (unsigned long long)o.seed, r.violation != NULL ? r.violation : "all is well", r.seconds,
           r.faults, r.clients, (unsigned long long)r.messages, (unsigned long long)r.delivered,
           (unsigned long long)r.connections, (unsigned long long)r.events,
           (unsigned long long)r.steps);
    return r.violation != NULL ? 1 : 0;
}
