/*
 * up_redis.h - the private Redis of `up`: everything of it lies under .signalbox/ in the current
 * folder, and nothing listens but a unix socket.
 */
#ifndef SIGNALBOX_TOOLS_UP_REDIS_H
#define SIGNALBOX_TOOLS_UP_REDIS_H

#include <stdbool.h>

struct child;
struct tool;

/* .signalbox/, unless it is there. False after one line. */
bool up_make_folder(const struct tool *t);
/* Makes the folder and takes its lock, for as long as we live. False after one line: another `up`
 * runs here, or a Redis that is nobody's. */
bool up_redis_claim(const struct tool *t);
void up_redis_describe(struct child *c);

#endif
