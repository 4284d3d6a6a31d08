/*
 * command.h - a Redis command being built, in RESP, straight into its buffer.
 *
 *     struct command c = command_begin("HGET");
 *     command_bytes(&c, key);
 *     command_bytes(&c, field);
 *     link_send(link, &c, on_reply, ctx);       takes the buffer: c is empty again
 *
 * The buffer starts with room for the argument count, which link_send fills in.
 */
#ifndef SIGNALBOX_BUS_REDIS_COMMAND_H
#define SIGNALBOX_BUS_REDIS_COMMAND_H

#include "common/base/buf.h"

struct command {
    struct buf buf;
    unsigned argc;
    size_t largest; /* bytes of its largest argument */
};

enum script; /* scripts.h */

struct command command_begin(const char *name);
/* EVALSHA with `keys` keys; the keys, then the arguments, follow. */
struct command command_script(enum script script, unsigned keys);
void command_bytes(struct command *c, struct bytes arg);
void command_text(struct command *c, const char *arg);
void command_number(struct command *c, int64_t arg);
/* The RESP text, complete; owned by the caller (buf_deinit). The command is empty again. */
struct buf command_finish(struct command *c);
void command_drop(struct command *c);

#endif
