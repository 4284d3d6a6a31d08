/* buf.c - see buf.h. */
#include "common/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 64, LARGE = 64 * 1024 };

void buf_init(struct buf *b) {
    *b = (struct buf){0};
}

void buf_deinit(struct buf *b) {
    buf_release(b);
}

char *buf_reserve(struct buf *b, size_t more) {
    MUST(more <= SIZE_MAX / 4 && b->len <= SIZE_MAX / 4);
    if (b->cap - b->len < more) {
        size_t cap = b->cap < SMALLEST ? SMALLEST : b->cap;
        while (cap - b->len < more)
            cap += cap < LARGE ? cap : cap / 2;
        b->ptr = mem_realloc(b->ptr, cap);
        b->cap = cap;
    }
    return b->ptr == NULL ? NULL : b->ptr + b->len;
}

void buf_added(struct buf *b, size_t len) {
    MUST(len <= b->cap - b->len);
    b->len += len;
}

void buf_append(struct buf *b, struct bytes more) {
    if (more.len == 0)
        return;
    memcpy(buf_reserve(b, more.len), more.ptr, more.len);
    b->len += more.len;
}

void buf_append_str(struct buf *b, const char *text) {
    buf_append(b, bytes_str(text));
}

void buf_append_char(struct buf *b, char c) {
    *buf_reserve(b, 1) = c;
    b->len++;
}

void buf_vprintf(struct buf *b, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int need = vsnprintf(NULL, 0, format, args);
    MUST(need >= 0);
    vsnprintf(buf_reserve(b, (size_t)need + 1), (size_t)need + 1, format, again);
    va_end(again);
    b->len += (size_t)need;
}

void buf_printf(struct buf *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    buf_vprintf(b, format, args);
    va_end(args);
}

void buf_clear(struct buf *b) {
    b->len = 0;
}

void buf_release(struct buf *b) {
    free(b->ptr);
    buf_init(b);
}

void buf_consume(struct buf *b, size_t len) {
    MUST(len <= b->len);
    b->len -= len;
    if (b->len > 0 && len > 0)
        memmove(b->ptr, b->ptr + len, b->len);
}

char *buf_take(struct buf *b) {
    buf_append_char(b, '\0');
    char *text = b->ptr;
    buf_init(b);
    return text;
}
