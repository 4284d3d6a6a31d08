/*
 * redis_check.h - looks at Redis' settings when a connection begins and every half minute, and
 * reports what is wrong: a line of the log when a setting becomes wrong, changes or is right again,
 * and the gauge redis_settings_wrong. The bounds of an argument go to the link.
 *
 * Users without CONFIG are served from INFO as far as it goes.
 */
#ifndef SIGNALBOX_BUS_REDIS_CHECK_H
#define SIGNALBOX_BUS_REDIS_CHECK_H

#include <stdint.h>

struct bus;
struct redis_check;

struct redis_check *redis_check_new(struct bus *bus, int64_t max_message_bytes);
/* NULL is legal. Answers that come later are for nobody: the link is closed before. */
void redis_check_free(struct redis_check *c);
/* The link is READY: asks for the bounds of an argument. The answers come before those of what the
 * caller sends next. */
void redis_check_begin(struct redis_check *c);
/* Looks at all settings; and every half minute again, by the tick of every second. For daemons. */
void redis_check_look(struct redis_check *c);
void redis_check_tick(struct redis_check *c);

#endif
