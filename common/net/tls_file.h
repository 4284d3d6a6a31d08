/*
 * tls_file.h - files for TLS: read whole, and one clear line when something is wrong with one.
 * Internal to common/net.
 */
#ifndef SIGNALBOX_NET_TLS_FILE_H
#define SIGNALBOX_NET_TLS_FILE_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/must.h"

enum { TLS_FILE_MAX = 1 << 20 /* bytes */ };

/* Reads the whole file; what: "key", "certificate authorities" … for the error. */
MUST_CHECK bool tls_file_read(const char *what, const char *file, struct buf *out,
                              char **error_out);
/* False, with the line "what FILE: why" in place of *error_out. OpenSSL's errors are forgotten. */
bool tls_file_fail(char **error_out, const char *what, const char *file, const char *why);
/* OpenSSL's last error. */
const char *tls_file_reason(void);

#endif
