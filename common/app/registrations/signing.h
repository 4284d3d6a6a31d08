/*
 * signing.h - signed client ids: s:<id>.<base64 HMAC-SHA256> (seed: Signing ClientIds; reference
 * section 4, vectors V1…V10).
 */
#ifndef SIGNALBOX_APP_REGISTRATIONS_SIGNING_H
#define SIGNALBOX_APP_REGISTRATIONS_SIGNING_H

#include <stdbool.h>

#include "common/base/buf.h"

struct signing {
    bool is_on;
    bool is_strict;
    bool
        uses_server_secret; /* secret is the cluster's own: filled in when it was read from Redis */
    char *secret;           /* or NULL */
};

/* Who asks: only for strict. Both empty outside an HTTP request. */
struct signing_context {
    struct bytes user_agent, remote_address;
};

void signing_set(struct signing *s, bool is_on, const char *secret, bool is_strict);
void signing_deinit(struct signing *s);

/* Appends the signed form of the raw id. MUST be on and have a secret. */
void signing_sign(const struct signing *s, const struct signing_context *who, struct bytes id,
                  struct buf *out);
static inline bool signing_is_signed(struct bytes id) {
    return bytes_starts_with(id, BYTES_LIT("s:"));
}
/* The id that was signed, whether or not its signature holds; one that is not signed itself. */
struct bytes signing_raw(struct bytes id);
/* The signature holds (exact, constant time) and the raw id is not empty. False while signing is
 * off: nothing was proved then. */
bool signing_verify(const struct signing *s, const struct signing_context *who, struct bytes id);
/* Whether a connection may be referred to by this id: a signature must hold, and while signing is
 * off there must be none. */
bool signing_accepts(const struct signing *s, const struct signing_context *who, struct bytes id);

/* NULL, or what is wrong with a secret, as in "the secret is empty": a key of spaces only would be
 * one by mistake. */
const char *signing_secret_error(struct bytes secret);
enum { SIGNING_SECRET_SHORT = 8 /* bytes; a shorter one can be guessed */ };

#endif
