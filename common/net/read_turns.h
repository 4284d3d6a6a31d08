/*
 * read_turns.h - how much of each stream is read in one turn of the loop: so much of all clients in
 * large pieces, then in small ones, and at most one piece of each, so that those who send little
 * need not wait for many who send much.
 */
#ifndef SIGNALBOX_NET_READ_TURNS_H
#define SIGNALBOX_NET_READ_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { READ_TURNS_LARGEST = 64 * 1024 };

/* How much room the next read of this stream has; 0: it is read in the next turn. now_ms is the
 * loop's, the same for one turn. */
size_t read_turns_room(const void *stream, bool is_client, uint64_t now_ms);
/* So much was read into that room. */
void read_turns_took(const void *stream, size_t bytes, size_t room);

#endif
