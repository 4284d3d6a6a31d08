/* read_turns.c - see read_turns.h. */
#include "common/net/read_turns.h"

enum { SMALL = 4096, TURN_BYTES = 2 * 1024 * 1024 };

static struct {
    uint64_t now_ms;
    size_t bytes;
    const void *filler; /* who filled its room last: libuv would read on at once */
} turn;

size_t read_turns_room(const void *stream, bool is_client, uint64_t now_ms) {
    bool is_filler = turn.filler == stream;
    turn.filler = NULL;
    if (turn.now_ms != now_ms) {
        turn.now_ms = now_ms;
        turn.bytes = 0;
    }
    if (is_filler)
        return 0;
    return turn.bytes < TURN_BYTES || !is_client ? READ_TURNS_LARGEST : SMALL;
}

void read_turns_took(const void *stream, size_t bytes, size_t room) {
    turn.bytes += bytes;
    turn.filler = bytes == room ? stream : NULL;
}
