/*
 * seal.h - a text that only who knows the key can read or make (AES-256-GCM, a random nonce).
 *
 *     sealed:  nonce (12 bytes) | text | tag (16)
 */
#ifndef SIGNALBOX_BASE_SEAL_H
#define SIGNALBOX_BASE_SEAL_H

#include "common/base/buf.h"
#include "common/base/must.h"

enum { SEAL_KEY = 32 /* bytes */, SEAL_MORE = 12 + 16 /* bytes that sealing adds */ };

/* about: says what the text is for; whoever opens it must say the same. */
void seal(const unsigned char key[SEAL_KEY], struct bytes about, struct bytes text,
          struct buf *out);
/* False: it was sealed under another key or about something else, or was changed. Then nothing is
 * added to out. */
MUST_CHECK bool seal_open(const unsigned char key[SEAL_KEY], struct bytes about,
                          struct bytes sealed, struct buf *out);

#endif
