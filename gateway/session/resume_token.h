/*
 * resume_token.h - what hello gives a client to come back with: who it is and where its messages
 * begin, so that one whose id a gateway made up is the same client again, at any gateway.
 *
 *     base64url( HMAC-SHA256 (32 bytes) | issued_s NUL position NUL name NUL client id NUL value )
 *
 * A client adds where it has got to: <token>~<message id>. Nothing is encrypted: the client knows
 * all of that. The key is the fleet's.
 */
#ifndef SIGNALBOX_GATEWAY_SESSION_RESUME_TOKEN_H
#define SIGNALBOX_GATEWAY_SESSION_RESUME_TOKEN_H

#include "common/base/buf.h"
#include "common/base/must.h"
#include "common/bus/log/envelope.h"

struct bus;

/* So long the token of a hello gives the same id again; its position may expire earlier. And the
 * characters of one. */
enum { RESUME_TOKEN_SECONDS = 7 * 24 * 3600, RESUME_TOKEN_MAX = 8192 };

struct resume_token {
    uint64_t issued_s; /* wall clock */
    struct message_id position;
    struct bytes name, client_id, value; /* no control bytes; value: of its connection */
};

/* The key of the fleet: derived from the cluster secret, or from the server secret without one.
 * False: neither is known yet. */
struct resume_key {
    char text[45];
};
MUST_CHECK bool resume_key_of(const struct bus *bus, struct resume_key *key_out);

/* Appends nothing when the token would be longer than RESUME_TOKEN_MAX. */
void resume_token_append(struct buf *out, const struct resume_key *key,
                         const struct resume_token *t);
/* False: nobody who knows the key made it, or it has expired. The texts point into `scratch`, whose
 * content is lost. */
MUST_CHECK bool resume_token_read(struct bytes text, const struct resume_key *key, uint64_t now_s,
                                  struct buf *scratch, struct resume_token *t_out);

#endif
