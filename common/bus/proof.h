/*
 * proof.h - what a process sets or asks for through Redis, with the proof that it is of the fleet:
 * an HMAC under a key of the cluster's secret (cluster_secret.h).
 *
 *     "hmac:" <44 characters of Base64> " " <text>
 *
 * The HMAC covers the fleet, what the text is about, and the text. A process without a cluster
 * secret writes the text alone, and takes a proof off without looking at it.
 *
 * To prove something else that is read from Redis: a purpose of its own, proof_append where it is
 * written, proof_take where it is read.
 */
#ifndef SIGNALBOX_BUS_PROOF_H
#define SIGNALBOX_BUS_PROOF_H

#include "common/base/buf.h"

struct bus;

/* about: the field or the channel for which the text is meant. */
void proof_append(const struct bus *b, struct buf *out, const char *purpose, struct bytes about,
                  struct bytes text);
/* Whether `value` may be believed; *text_out borrows from it. What may not is counted, and
 * mentioned in /readyz and the log for a minute. */
MUST_CHECK bool proof_take(struct bus *b, const char *purpose, struct bytes about,
                           struct bytes value, struct bytes *text_out);

#endif
