/*
 * buf.h - a growing run of bytes that owns its memory.
 *
 *     ptr                len                 cap
 *      |----- content -----|------ room -------|
 *
 * A zeroed struct is an empty buffer without memory. Growth never fails (no memory is a MUST);
 * callers bound what they append.
 */
#ifndef SIGNALBOX_BASE_BUF_H
#define SIGNALBOX_BASE_BUF_H

#include <stdarg.h>

#include "common/base/bytes.h"
#include "common/base/must.h"

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
};

void buf_init(struct buf *b);
void buf_deinit(struct buf *b);

/* Room for `more` bytes after the content; returns where they go. Follow with buf_added. */
char *buf_reserve(struct buf *b, size_t more);
void buf_added(struct buf *b, size_t len);

void buf_append(struct buf *b, struct bytes more);
void buf_append_str(struct buf *b, const char *text);
void buf_append_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *format, va_list args);

/* Forgets the content and keeps the memory / gives the memory back too. */
void buf_clear(struct buf *b);
void buf_release(struct buf *b);
/* Drops the first `len` bytes; the rest moves to the front. */
void buf_consume(struct buf *b, size_t len);

/* Borrowed until the next change. */
static inline struct bytes buf_bytes(const struct buf *b) {
    return bytes_of(b->ptr, b->len);
}

/* The content with a NUL after it; ownership goes to the caller, who calls free(). The buffer is
 * empty again. */
char *buf_take(struct buf *b);

#endif
