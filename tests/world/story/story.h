/*
 * story.h - one story, from its seed to its verdict.
 *
 *     0 s    Redis, brokers, gateways and clients start
 *     6 s    all are connected, or that is a violation; talk and faults begin
 *     …      faults are over: nobody sends any more, passengers stay
 *     rest   what was accepted has arrived, events and registry are complete
 *     then   one more message to each Name and to all of them, which reaches everybody
 */
#ifndef SIGNALBOX_WORLD_STORY_H
#define SIGNALBOX_WORLD_STORY_H

#include <stdint.h>
#include <stdio.h>

struct story_options {
    uint64_t seed;
    const char *app;    /* folder of app.lua */
    FILE *log;          /* NULL: nobody reads it */
    unsigned seconds;   /* of talk and faults; 0: the seed decides */
    const char *faults; /* "1,4": only those of the plan; NULL: all */
    unsigned clients;   /* no more than that; 0: the seed decides */
    unsigned messages;  /* no more than that; 0: as many as there are */
};

struct story_result {
    const char *violation; /* NULL: none */
    double seconds;        /* simulated */
    unsigned faults, clients;
    uint64_t messages, delivered, connections, events, steps;
};

/* Once in a process. */
void story_tell(const struct story_options *options, struct story_result *result_out);

#endif
