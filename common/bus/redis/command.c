/*
 * command.c - see command.h.
 *
 *     |<- ROOM ->|$4\r\nHGET\r\n|$3\r\nkey\r\n|…          while arguments are added
 *     |*3\r\n|$4\r\nHGET\r\n|$3\r\nkey\r\n|…              after command_finish
 */
#include "common/bus/redis/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/bus/redis/scripts.h"

/* "*4294967295\r\n" fits. */
enum { ROOM = 16 };

struct command command_begin(const char *name) {
    struct command c = {0};
    buf_reserve(&c.buf, ROOM + 112);
    buf_added(&c.buf, ROOM);
    command_text(&c, name);
    return c;
}

struct command command_script(enum script script, unsigned keys) {
    struct command c = command_begin("EVALSHA");
    command_text(&c, script_sha(script));
    command_number(&c, keys);
    return c;
}

void command_bytes(struct command *c, struct bytes arg) {
    MUST(c->buf.len >= ROOM);
    char head[32];
    int len = snprintf(head, sizeof(head), "$%zu\r\n", arg.len);
    /* All at once, so that a large argument grows the buffer once. */
    buf_reserve(&c->buf, (size_t)len + arg.len + 2);
    buf_append(&c->buf, bytes_of(head, (size_t)len));
    buf_append(&c->buf, arg);
    buf_append(&c->buf, BYTES_LIT("\r\n"));
    c->argc++;
    if (arg.len > c->largest)
        c->largest = arg.len;
}

void command_text(struct command *c, const char *arg) {
    command_bytes(c, bytes_str(arg));
}

void command_number(struct command *c, int64_t arg) {
    char text[24];
    int len = snprintf(text, sizeof(text), "%" PRId64, arg);
    command_bytes(c, bytes_of(text, (size_t)len));
}

/* The number cannot be written with leading zeros, Redis refuses those: hence room and a move. */
struct buf command_finish(struct command *c) {
    char head[ROOM];
    int len = snprintf(head, sizeof(head), "*%u\r\n", c->argc);
    MUST(c->argc > 0 && len > 0 && len < ROOM);
    struct buf done = c->buf;
    memcpy(done.ptr + ROOM - len, head, (size_t)len);
    buf_consume(&done, (size_t)(ROOM - len));
    *c = (struct command){0};
    return done;
}

void command_drop(struct command *c) {
    buf_deinit(&c->buf);
    *c = (struct command){0};
}
