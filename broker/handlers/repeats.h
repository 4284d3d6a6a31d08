/*
 * repeats.h - clients' messages with an id of their own (signalbox.v1: `id`), which are handled
 * once: one that comes again, whatever connection or gateway it comes by, gets the answer that the
 * first one got.
 *
 *     read ─▶ repeats_look ─▶ (Redis: what was answered) ─▶ repeats_take ─▶ process each:
 *                                   repeats_find: none? ─▶ handle it ─▶ repeats_answer
 *
 * An inbox has one: for the entries of one read, from their look-up until the last is processed.
 */
#ifndef SIGNALBOX_BROKER_HANDLERS_REPEATS_H
#define SIGNALBOX_BROKER_HANDLERS_REPEATS_H

#include "common/bus/log/answers.h"

struct client_message;
struct in_entry;
struct processing;
struct repeats;

struct repeats *repeats_new(void);
void repeats_free(struct repeats *r); /* NULL is legal */

/* Forgets what it had and looks for ids in these entries, ENTRY_READER_MAX at most, each of which
 * lives until it is processed. False: none has an id, and there is nothing to ask. */
bool repeats_look(struct repeats *r, struct in_entry *const *entries, size_t count);
/* How many have one. */
size_t repeats_count(const struct repeats *r);
/* What to ask for (answers_ask): so many. */
void repeats_keys(const struct repeats *r, struct answer_key *keys_out);
/* What was answered to the message of keys[index]; empty: nothing. */
void repeats_take(struct repeats *r, size_t index, struct bytes answer);

/* The message of the entry that is processed, with a reference for the caller. */
struct client_message *repeats_message(const struct processing *p);
/* What was answered to this message before; empty: nothing. Borrows until the next look. */
struct bytes repeats_find(const struct processing *p);
/* Whether that was another message: one of which more than `ref` and `id` is different. */
bool repeats_is_other(const struct processing *p);
/* What is answered to it now; it is kept with the commit. Nothing happens if it has no id. */
void repeats_answer(struct processing *p, struct bytes answer);

#endif
