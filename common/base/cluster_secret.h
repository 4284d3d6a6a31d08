/*
 * cluster_secret.h - what all processes of a fleet know and Redis does not: the first line of
 * --cluster-secret-file. It is never used itself; each purpose has a key of its own, derived by
 * HKDF-SHA256 (RFC 5869), so that what one use gives away says nothing about the others.
 *
 *     unsigned char key[CLUSTER_SECRET_KEY];
 *     cluster_secret_derive(secret, "tls tickets", key);
 *
 * Only the key that HKDF extracts is kept, not the text of the file.
 */
#ifndef SIGNALBOX_BASE_CLUSTER_SECRET_H
#define SIGNALBOX_BASE_CLUSTER_SECRET_H

#include <stdbool.h>

#include "common/base/bytes.h"
#include "common/base/must.h"
#include "common/base/secret_file.h"

#define CLUSTER_SECRET_NAME "cluster-secret" /* of the file beside a socket of Redis */
enum { CLUSTER_SECRET_KEY = 32 /* bytes */, CLUSTER_SECRET_MIN = 16 /* bytes of the line */ };

struct cluster_secret {
    bool is_known; /* false: none was given, and nothing can be derived */
    unsigned char key[CLUSTER_SECRET_KEY];
};

/* path "": none is known. 0, or a negative errno with one line in why_out, without the path. */
MUST_CHECK int cluster_secret_read(struct cluster_secret *s_out, const char *path,
                                   char why_out[SECRET_FILE_WHY]);
/* The key for a purpose, the same in every process of the fleet. s->is_known MUST hold. */
void cluster_secret_derive(const struct cluster_secret *s, const char *purpose,
                           unsigned char key_out[CLUSTER_SECRET_KEY]);
/* HMAC-SHA256 of the data under the key for this purpose, in Base64: 44 characters and a NUL. */
void cluster_secret_sign(const struct cluster_secret *s, const char *purpose, struct bytes data,
                         char text_out[45]);

#endif
