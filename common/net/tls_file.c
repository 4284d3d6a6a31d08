/* tls_file.c - see tls_file.h. */
#include "common/net/tls_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

bool tls_file_fail(char **error_out, const char *what, const char *file, const char *why) {
    struct buf line = {0};
    buf_printf(&line, "%s %s: %s", what, file, why);
    free(*error_out);
    *error_out = buf_take(&line);
    ERR_clear_error();
    return false;
}

const char *tls_file_reason(void) {
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason != NULL ? reason : "not understood";
}

bool tls_file_read(const char *what, const char *file, struct buf *out, char **error_out) {
    FILE *f = fopen(file, "rbe");
    if (f == NULL)
        return tls_file_fail(error_out, what, file, strerror(errno));
    size_t n = fread(buf_reserve(out, TLS_FILE_MAX), 1, TLS_FILE_MAX, f);
    const char *why = ferror(f)           ? strerror(errno)
                      : n == 0            ? "the file is empty"
                      : n == TLS_FILE_MAX ? "the file is too big"
                                          : NULL;
    fclose(f);
    buf_added(out, n);
    return why == NULL || tls_file_fail(error_out, what, file, why);
}
