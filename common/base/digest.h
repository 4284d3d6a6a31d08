/* digest.h - the two digests Signalbox needs, also as standard Base64 with padding (RFC 4648
 * section 4). */
#ifndef SIGNALBOX_BASE_DIGEST_H
#define SIGNALBOX_BASE_DIGEST_H

#include <stdbool.h>

#include "common/base/bytes.h"

/* 28 characters and a NUL. */
void digest_sha1_base64(struct bytes data, char text_out[29]);
enum { DIGEST_SHA256 = 32 /* bytes */ };
void digest_hmac_sha256(struct bytes key, struct bytes data, unsigned char out[DIGEST_SHA256]);
/* The same: 44 characters and a NUL. */
void digest_hmac_sha256_base64(struct bytes key, struct bytes data, char text_out[45]);
/* Whether both are the same, in a time that does not tell where they differ. */
bool digest_equal(struct bytes a, struct bytes b);

#endif
