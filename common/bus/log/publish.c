/* publish.c - see publish.h. */
#include "common/bus/log/publish.h"

#include <errno.h>
#include <stdlib.h>

#include "common/bus/backlog.h"
#include "common/bus/bus_send.h"
#include "common/bus/log/append.h"

struct publishing {
    struct bus *bus;
    size_t bytes;
    publish_done_fn *fn;
    void *ctx;
};

bool publish_fits(const struct bus *bus, size_t bytes, struct buf *error_out) {
    if (append_fits(bus, bytes))
        return true;
    buf_printf(error_out,
               "the message has %zu bytes with its address, and this Redis takes at most %zu "
               "(its proto-max-bulk-len or client-query-buffer-limit)",
               bytes, bus_largest(bus));
    return false;
}

int publish_check(struct bus *bus, size_t bytes, struct buf *error_out) {
    if (!publish_fits(bus, bytes, error_out))
        return -EMSGSIZE;
    int64_t waiting = bus_backlog(bus)->length;
    if (waiting < BACKLOG_MAX)
        return 0;
    buf_printf(error_out,
               "%lld messages wait in the public stream, at most %d may: no broker takes them, or "
               "the brokers are too slow",
               (long long)waiting, BACKLOG_MAX);
    return -ENOBUFS;
}

static void tell_lost(const struct publishing *p) {
    struct buf error = {0};
    if (publish_fits(p->bus, p->bytes, &error))
        p->fn(p->ctx, -ENOTCONN,
              BYTES_LIT("the connection to Redis broke: unknown whether it was taken"));
    else
        p->fn(p->ctx, -EMSGSIZE, buf_bytes(&error));
    buf_deinit(&error);
}

static void on_answer(void *ctx, struct redisReply *reply) {
    struct publishing *p = ctx;
    if (reply == NULL)
        tell_lost(p);
    else if (reply_is_error(reply, NULL))
        p->fn(p->ctx, -EIO, reply_bytes(reply));
    else
        p->fn(p->ctx, 0, reply_bytes(reply));
    free(p);
}

void publish_json(struct bus *bus, struct bytes json, publish_done_fn *fn, void *ctx) {
    struct publishing *p = mem_alloc(sizeof(*p));
    *p = (struct publishing){bus, json.len, fn, ctx};
    struct command c = command_begin("XADD");
    command_text(&c, fleet_key(KEY_PUBLIC_SEND));
    command_text(&c, "*");
    command_text(&c, "m");
    command_bytes(&c, json);
    bus_send(bus, BUS_FLEET, &c, on_answer, p);
    backlog_note_sent(bus_backlog(bus));
}

static void report(struct bus *bus, struct bytes token, struct bytes text) {
    struct buf channel = {0};
    if (!bus_can_send(bus))
        return;
    buf_append_str(&channel, fleet_channel(CHANNEL_RECEIPT));
    buf_append(&channel, token);
    struct command c = command_begin("PUBLISH");
    command_bytes(&c, buf_bytes(&channel));
    command_bytes(&c, text);
    bus_send(bus, BUS_FLEET, &c, NULL, NULL);
    buf_deinit(&channel);
}

void publish_receipt(struct bus *bus, struct bytes token, const struct receipt *r) {
    struct buf text = {0};
    buf_printf(&text, "%s %zu %zu %zu %zu", bus_id(bus), r->matched, r->written, r->queued,
               r->dropped);
    report(bus, token, buf_bytes(&text));
    buf_deinit(&text);
}

void publish_receipt_id(struct bus *bus, struct bytes token, struct message_id id) {
    struct buf text = {0};
    char id_text[MESSAGE_ID_TEXT];
    buf_printf(&text, "id %s", message_id_format(id, id_text));
    report(bus, token, buf_bytes(&text));
    buf_deinit(&text);
}

void publish_outcome(struct bus *bus, struct bytes reply, int status, struct message_id id,
                     struct bytes text) {
    struct buf out = {0};
    char id_text[MESSAGE_ID_TEXT];
    struct bytes number = reply, token = bytes_split(&number, ':');
    buf_printf(&out, "%.*s %d %s ", BYTES_FMT(number), status,
               message_id_is_none(id) ? "-" : message_id_format(id, id_text));
    buf_append(&out, text);
    report(bus, token, buf_bytes(&out));
    buf_deinit(&out);
}

bool outcome_parse(struct bytes text, struct outcome *o_out) {
    uint64_t status;
    *o_out = (struct outcome){0};
    if (!bytes_to_u64(bytes_split(&text, ' '), &o_out->number) ||
        !bytes_to_u64(bytes_split(&text, ' '), &status) || status < 200 || status > 599)
        return false;
    struct bytes id = bytes_split(&text, ' ');
    o_out->status = (int)status;
    o_out->text = text;
    return bytes_equal_str(id, "-") || message_id_parse(id, &o_out->id);
}

bool receipt_parse_id(struct bytes text, struct message_id *id_out) {
    return bytes_equal_str(bytes_split(&text, ' '), "id") && message_id_parse(text, id_out);
}

static bool next_count(struct bytes *rest, size_t *count_out) {
    uint64_t count;
    if (!bytes_to_u64(bytes_split(rest, ' '), &count))
        return false;
    *count_out = (size_t)count;
    return true;
}

bool receipt_parse(struct bytes text, struct bytes *gid_out, struct receipt *r_out) {
    *gid_out = bytes_split(&text, ' ');
    return gid_out->len > 0 && next_count(&text, &r_out->matched) &&
           next_count(&text, &r_out->written) && next_count(&text, &r_out->queued) &&
           next_count(&text, &r_out->dropped);
}
