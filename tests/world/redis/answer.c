/* answer.c - replies in RESP2, and what commands read from their arguments. See internal.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "tests/world/redis/internal.h"
#include "tests/world/redis/numbers.h"

/* ---- replies ---- */

static void append_head(struct buf *out, char kind, int64_t n) {
    char text[32];
    int at = sizeof(text);
    uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    text[--at] = '\n';
    text[--at] = '\r';
    do
        text[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (n < 0)
        text[--at] = '-';
    text[--at] = kind;
    buf_append(out, bytes_of(text + at, sizeof(text) - (size_t)at));
}

void answer_int(struct call *c, int64_t n) {
    append_head(c->out, ':', n);
}

void answer_bulk(struct call *c, struct bytes b) {
    append_head(c->out, '$', (int64_t)b.len);
    buf_append(c->out, b);
    buf_append(c->out, BYTES_LIT("\r\n"));
}

void answer_status(struct call *c, const char *text) {
    buf_printf(c->out, "+%s\r\n", text);
}

void answer_ok(struct call *c) {
    buf_append(c->out, BYTES_LIT("+OK\r\n"));
}

void answer_nil(struct call *c) {
    buf_append(c->out, BYTES_LIT("$-1\r\n"));
}

void answer_nil_array(struct call *c) {
    buf_append(c->out, BYTES_LIT("*-1\r\n"));
}

void answer_array(struct call *c, size_t count) {
    append_head(c->out, '*', (int64_t)count);
}

void answer_float(struct call *c, double d) {
    char text[64];
    int len = isinf(d) ? snprintf(text, sizeof(text), "%s", d > 0 ? "inf" : "-inf")
                       : snprintf(text, sizeof(text), "%.17g", d);
    answer_bulk(c, bytes_of(text, (size_t)len));
}

void answer_id(struct call *c, struct entry_id id) {
    char text[ID_TEXT + 1];
    int len = snprintf(text, sizeof(text), "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
    answer_bulk(c, bytes_of(text, (size_t)len));
}

void answer_error(struct call *c, const char *format, ...) {
    va_list args;
    size_t from = c->out->len + 1;
    buf_append_char(c->out, '-');
    va_start(args, format);
    buf_vprintf(c->out, format, args);
    va_end(args);
    for (size_t i = from; i < c->out->len; i++)
        if (c->out->ptr[i] == '\r' || c->out->ptr[i] == '\n')
            c->out->ptr[i] = ' ';
    buf_append(c->out, BYTES_LIT("\r\n"));
}

void answer_syntax_error(struct call *c) {
    answer_error(c, "ERR syntax error");
}

void answer_bad_integer(struct call *c) {
    answer_error(c, "ERR value is not an integer or out of range");
}

/* ---- arguments ---- */

bool arg_int(struct call *c, int i, int64_t *out) {
    if (number_parse(c->argv[i], out))
        return true;
    answer_bad_integer(c);
    return false;
}

/* ---- keys ---- */

int64_t call_now_ms(const struct call *c) {
    return c->model->wall_us / 1000;
}

bool value_is_expired(const struct value *v, int64_t now_ms) {
    return v->expires_ms != EXPIRES_NEVER && now_ms > v->expires_ms;
}

struct value *call_find(struct call *c, struct bytes key) {
    struct value *v = keyspace_find(c->db, key);
    if (v == NULL || !value_is_expired(v, call_now_ms(c)))
        return v;
    if (!c->model->is_replica)
        keyspace_remove(c->db, key);
    return NULL;
}

bool call_find_type(struct call *c, struct bytes key, enum value_type type, struct value **v_out) {
    *v_out = call_find(c, key);
    if (*v_out == NULL || (*v_out)->type == type)
        return true;
    answer_error(c, "WRONGTYPE Operation against a key holding the wrong kind of value");
    return false;
}

struct value *call_make(struct call *c, struct bytes key, enum value_type type) {
    struct value *v;
    if (!call_find_type(c, key, type, &v))
        return NULL;
    return v != NULL ? v : keyspace_add(c->db, key, type);
}

void call_changed(struct call *c, struct bytes key, struct value *v) {
    if (value_is_empty(v))
        keyspace_remove(c->db, key);
}
