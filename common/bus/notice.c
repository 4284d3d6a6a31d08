/* notice.c - see notice.h. The table is expanded into an array of fields; all work goes over it. */
#include "common/bus/notice.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/cluster_secret.h"
#include "common/bus/bus_send.h"
#include "common/bus/proof.h"

enum { LIFE_MS = 60000 };

enum field_type { FIELD_WORD, FIELD_NUMBER, FIELD_EITHER, FIELD_SIZED, FIELD_TEXT, FIELD_TAIL };

struct field {
    enum notice_kind kind;
    enum field_type type;
    size_t offset;
    const char *yes, *no; /* FIELD_EITHER */
};

static const char *const words[] = {
#define NOTICE(kind) #kind,
#include "common/bus/notices.def"
};

/* clang-format off */
static const struct field fields[] = {
#define FIELD(kind, type, member, ...) \
    {NOTICE_##kind, type, offsetof(struct notice, kind.member), __VA_ARGS__},
#define WORD(kind, member)            FIELD(kind, FIELD_WORD, member, NULL, NULL)
#define NUMBER(kind, member)          FIELD(kind, FIELD_NUMBER, member, NULL, NULL)
#define EITHER(kind, member, yes, no) FIELD(kind, FIELD_EITHER, member, yes, no)
#define SIZED(kind, member)           FIELD(kind, FIELD_SIZED, member, NULL, NULL)
#define TEXT(kind, member)            FIELD(kind, FIELD_TEXT, member, NULL, NULL)
#define TAIL(kind, member)            FIELD(kind, FIELD_TAIL, member, NULL, NULL)
#include "common/bus/notices.def"
};
/* clang-format on */

/* --- encoding --- */

/* *spaces: those that are due, but written only before something. */
static void encode_text(struct buf *out, size_t *spaces, struct bytes text) {
    if (text.len == 0)
        return;
    for (; *spaces > 0; (*spaces)--)
        buf_append_char(out, ' ');
    buf_append(out, text);
}

static void encode_field(struct buf *out, size_t *spaces, const struct field *f,
                         const struct notice *n) {
    const void *value = (const char *)n + f->offset;
    char digits[24];
    *spaces += f->type != FIELD_TAIL;
    switch (f->type) {
    case FIELD_EITHER:
        encode_text(out, spaces, bytes_str(*(const bool *)value ? f->yes : f->no));
        break;
    case FIELD_NUMBER:
        snprintf(digits, sizeof(digits), "%" PRIu64, *(const uint64_t *)value);
        encode_text(out, spaces, bytes_str(digits));
        break;
    case FIELD_SIZED:
        snprintf(digits, sizeof(digits), "%zu ", ((const struct bytes *)value)->len);
        encode_text(out, spaces, bytes_str(digits));
        buf_append(out, *(const struct bytes *)value);
        break;
    case FIELD_WORD:
    case FIELD_TEXT:
    case FIELD_TAIL: encode_text(out, spaces, *(const struct bytes *)value); break;
    }
}

void notice_encode(struct buf *out, const struct notice *n) {
    size_t spaces = 0;
    buf_append_str(out, words[n->kind]);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (fields[i].kind == n->kind)
            encode_field(out, &spaces, &fields[i], n);
}

/* --- decoding --- */

/* A space ends a word and goes with it; a line feed ends it and stays. */
static struct bytes take_word(struct bytes *rest) {
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] != ' ' && rest->ptr[len] != '\n')
        len++;
    struct bytes word = bytes_head(*rest, len);
    bool has_space = len < rest->len && rest->ptr[len] == ' ';
    *rest = bytes_from(*rest, len + has_space);
    return word;
}

static bool decode_field(struct bytes *rest, const struct field *f, struct notice *n) {
    void *value = (char *)n + f->offset;
    uint64_t len;
    switch (f->type) {
    case FIELD_WORD: *(struct bytes *)value = take_word(rest); return true;
    case FIELD_NUMBER: return bytes_to_u64(take_word(rest), value);
    case FIELD_EITHER: *(bool *)value = bytes_equal_str(take_word(rest), f->yes); return true;
    case FIELD_TEXT:
    case FIELD_TAIL: *(struct bytes *)value = *rest; return true;
    case FIELD_SIZED: break;
    }
    if (!bytes_to_u64(take_word(rest), &len) || len > rest->len)
        return false;
    *(struct bytes *)value = bytes_head(*rest, len);
    *rest = bytes_from(*rest, len);
    return true;
}

bool notice_decode(struct bytes text, struct notice *n_out) {
    struct bytes word = take_word(&text);
    *n_out = (struct notice){.kind = 0};
    while (n_out->kind < NOTICE_COUNT && !bytes_equal_str(word, words[n_out->kind]))
        n_out->kind++;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (fields[i].kind == n_out->kind && !decode_field(&text, &fields[i], n_out))
            return false;
    return n_out->kind < NOTICE_COUNT;
}

/* --- with the time and a proof --- */

static const char purpose[] = "notice";

static struct bytes control_channel(void) {
    return bytes_str(fleet_channel(CHANNEL_CONTROL));
}

static void write_proven(const struct bus *b, struct buf *out, const struct notice *n) {
    struct buf text = {0};
    if (bus_cluster_secret(b)->is_known)
        buf_printf(&text, "%" PRIu64 " ", clock_wall_ms());
    notice_encode(&text, n);
    proof_append(b, out, purpose, control_channel(), buf_bytes(&text));
    buf_deinit(&text);
}

bool notice_read(struct bus *b, struct bytes payload, struct notice *n_out) {
    struct bytes text;
    uint64_t sent_ms, now_ms = clock_wall_ms();
    if (!proof_take(b, purpose, control_channel(), payload, &text))
        return false;
    if (text.ptr == payload.ptr) /* no secret on either side */
        return notice_decode(text, n_out);
    bool has_time = bytes_to_u64(take_word(&text), &sent_ms);
    bool is_fresh = has_time && (sent_ms > now_ms ? sent_ms - now_ms : now_ms - sent_ms) <= LIFE_MS;
    if (!is_fresh && bus_cluster_secret(b)->is_known) {
        bus_note_unproven(b, "an old notice on", control_channel());
        return false;
    }
    return notice_decode(text, n_out);
}

/* --- sending --- */

struct sending {
    notice_sent_fn *fn;
    void *ctx;
};

static void on_sent(void *ctx, struct redisReply *reply) {
    struct sending *s = ctx;
    s->fn(s->ctx, reply != NULL && !reply_is_error(reply, NULL));
    free(s);
}

void notice_send_then(struct bus *b, const struct notice *n, notice_sent_fn *fn, void *ctx) {
    struct buf text = {0};
    struct command c = command_begin("PUBLISH");
    struct sending *s = fn != NULL ? mem_alloc(sizeof(*s)) : NULL;
    if (s != NULL)
        *s = (struct sending){fn, ctx};
    write_proven(b, &text, n);
    command_text(&c, fleet_channel(CHANNEL_CONTROL));
    command_bytes(&c, buf_bytes(&text));
    buf_deinit(&text);
    bus_send(b, BUS_FLEET, &c, s != NULL ? on_sent : NULL, s);
}

void notice_send(struct bus *b, const struct notice *n) {
    if (bus_can_send(b))
        notice_send_then(b, n, NULL, NULL);
}

void notice_listen(struct bus *b, const struct channel_events *events, void *ctx) {
    bus_subscribe(b, bytes_str(fleet_channel(CHANNEL_CONTROL)), events, ctx);
}

void notice_listen_end(struct bus *b) {
    bus_unsubscribe(b, bytes_str(fleet_channel(CHANNEL_CONTROL)));
}
