/* stream_commands.h - what the commands of streams share. */
#ifndef SIGNALBOX_WORLD_REDIS_STREAM_COMMANDS_H
#define SIGNALBOX_WORLD_REDIS_STREAM_COMMANDS_H

#include "tests/world/redis/internal.h"

/* Answers an error when it is none. seq_missing: for "ms" alone. */
bool arg_id(struct call *c, struct bytes text, uint64_t seq_missing, struct entry_id *out);
/* At most so many (0: all), from that place on. */
void answer_entries(struct call *c, const struct entries *s, size_t from, int64_t most);
void stream_read(struct call *c);

#endif
