/*
 * sender_reply.c - see sender_reply.h.
 *
 * An answer is kept as a letter and a text: "a" and the id of the message, if it has one; or, for
 * an error, the letter of its fault and why.
 */
#include "broker/handlers/sender_reply.h"

#include "broker/entry/broadcast.h"
#include "broker/entry/outcomes.h"
#include "broker/handlers/client_message.h"
#include "broker/handlers/repeats.h"
#include "common/bus/log/answers.h"

enum { LETTER_ACK = 'a', BUSY_RETRY_MS = 1000 };

static const struct {
    const char *code;
    int status;
    char letter;
} faults[] = {
    [FAULT_LEVEL] = {"level", 403, 'l'},
    [FAULT_NO_ROUTE] = {"no_route", 403, 'n'},
    [FAULT_BAD_REQUEST] = {"bad_request", 400, 'r'},
    [FAULT_TOO_BIG] = {"too_big", 413, 'b'},
    [FAULT_HANDLER] = {"handler", 500, 'h'},
    [FAULT_BUSY] = {"busy", 429, 0},
    [FAULT_CONFLICT] = {"conflict", 422, 0},
};

/* ---- as JSON */

static bool is_wanted(const struct processing *p, const struct client_message *m) {
    return (p->entry->entry.flags & FLAG_V1) != 0 && m->ref.kind != JSON_KIND_ABSENT;
}

static void begin(struct buf *text, const char *type, const struct client_message *m) {
    buf_printf(text, "{\"type\":\"%s\",\"ref\":", type);
    json_append_compact(text, m->ref);
}

static void finish(struct processing *p, struct buf *text) {
    buf_append_char(text, '}');
    /* Without room the entry has led to thousands of messages: the reply is the least of it. */
    (void)broadcast_reply(p, MESSAGE_NOTE, buf_bytes(text));
    buf_deinit(text);
}

static void tell_ack(struct processing *p, const struct client_message *m, struct bytes id) {
    struct buf text = {0};
    outcomes_add(p, 202, BYTES_NONE);
    if (!is_wanted(p, m))
        return;
    begin(&text, "ack", m);
    buf_append_str(&text, ",\"id\":");
    if (id.len > 0)
        json_append_string(&text, id);
    else
        buf_append_str(&text, "null");
    finish(p, &text);
}

static void tell_error(struct processing *p, const struct client_message *m,
                       enum sender_fault fault, struct bytes why) {
    struct buf text = {0};
    outcomes_add(p, faults[fault].status, why);
    if (!is_wanted(p, m))
        return;
    begin(&text, "error", m);
    buf_printf(&text, ",\"code\":\"%s\",\"status\":%d,\"message\":", faults[fault].code,
               faults[fault].status);
    json_append_string(&text, why);
    if (fault == FAULT_BUSY)
        buf_printf(&text, ",\"retryMs\":%d", BUSY_RETRY_MS);
    finish(p, &text);
}

/* ---- as it is kept */

/* No more than so many bytes, and whole characters. */
static struct bytes shortened(struct bytes text, size_t most) {
    if (text.len <= most)
        return text;
    while (most > 0 && ((unsigned char)text.ptr[most] & 0xc0) == 0x80)
        most--;
    return bytes_of(text.ptr, most);
}

static void keep(struct processing *p, char letter, struct bytes text) {
    struct buf answer = {0};
    buf_append_char(&answer, letter);
    buf_append(&answer, shortened(text, ANSWER_BYTES_MAX - ANSWER_MARK - 1));
    repeats_answer(p, buf_bytes(&answer));
    buf_deinit(&answer);
}

void sender_reply_ack(struct processing *p, const struct client_message *m) {
    char room[MESSAGE_ID_TEXT];
    struct bytes id = BYTES_NONE;
    if (!message_id_is_none(p->first_id))
        id = bytes_str(message_id_format(p->first_id, room));
    keep(p, LETTER_ACK, id);
    tell_ack(p, m, id);
}

void sender_reply_error(struct processing *p, const struct client_message *m,
                        enum sender_fault fault, struct bytes why) {
    MUST((size_t)fault < ARRAY_LEN(faults));
    if (faults[fault].letter != 0)
        keep(p, faults[fault].letter, why);
    tell_error(p, m, fault, why);
}

void sender_reply_again(struct processing *p, const struct client_message *m,
                        struct bytes answered) {
    struct bytes text = bytes_from(answered, 1);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        if (answered.ptr[0] == faults[i].letter) {
            tell_error(p, m, (enum sender_fault)i, text);
            return;
        }
    if (!message_id_parse(text, &p->first_id))
        p->first_id = MESSAGE_ID_NONE;
    tell_ack(p, m, text);
}

void sender_reply_nothing(struct processing *p) {
    outcomes_add(p, 202, BYTES_NONE);
}
