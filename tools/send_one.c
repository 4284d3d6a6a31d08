/* send_one.c - see send_one.h. */
#include "tools/send_one.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/bus/log/publish.h"
#include "tools/receipts.h"
#include "tools/verb.h"
#include "common/bus/log/verdict.h"

/* The message's id is listened for this long after a broker has taken it. */
enum { ID_MS = 1000 };

/* --- checks --- */

/* The size is the daemons' matter: they know --max-message-bytes. */
enum send_check send_one_check(struct bytes text, const struct bus *bus, struct buf *error_out) {
    const struct public_limits limits = {SIZE_MAX, bus};
    struct public_message m;
    bool is_fine = public_message_read(&m, text, PUBLIC_OP_SEND, &limits, error_out) == PUBLIC_FINE;
    bool is_nothing = m.is_nothing;
    public_message_deinit(&m);
    if (!is_fine)
        return SEND_BAD;
    if (is_nothing)
        buf_append_str(error_out, "nothing to send: DATA is empty");
    return is_nothing ? SEND_NOTHING : SEND_FINE;
}

static bool add(const struct send_one *s, struct texts *t, enum message_key key, const char *text) {
    struct bytes added = bytes_str(text);
    const char *fault = added.len == 0 ? "is empty" : address_fault(added);
    if (fault == NULL)
        texts_add(t, added);
    else
        tool_complain(s->tool, "%s: %s", message_form_key(key), fault);
    return fault == NULL;
}

static bool add_all(const struct send_one *s, struct texts *t, enum message_key key,
                    const struct settings_list *list) {
    for (size_t i = 0; i < list->count; i++)
        if (!add(s, t, key, list->items[i]))
            return false;
    return true;
}

bool send_one_address(struct send_one *s, const char *name, const struct settings_list *groups,
                      const struct settings_list *clients) {
    if ((name != NULL && !add(s, &s->names, KEY_NAME, name)) ||
        !add_all(s, &s->groups, KEY_GROUP, groups) ||
        !add_all(s, &s->clients, KEY_CLIENT_ID, clients))
        return false;
    s->what.names = texts_list(&s->names);
    s->what.groups = texts_list(&s->groups);
    s->what.clients = texts_list(&s->clients);
    return true;
}

/* --- what is printed --- */

static void print_ids(const struct send_one *s) {
    printf("\"entry\":\"%s\",\"id\":", s->entry);
    if (s->message_id[0] != '\0')
        printf("\"%s\"", s->message_id);
    else
        printf("null");
}

/* An entry's id is not shown as if it were a message's. */
static void print_id(const struct send_one *s) {
    if (s->tool->is_json) {
        putchar('{');
        print_ids(s);
        puts("}");
    } else if (s->message_id[0] != '\0') {
        puts(s->message_id);
    } else {
        printf("entry %s\n", s->entry);
    }
    (void)tool_flush();
}

static void print_counts(const struct receipt *r, const char *format) {
    printf(format, r->matched, r->written, r->queued, r->dropped);
}

static const char as_json[] = "\"matched\":%zu,\"written\":%zu,\"queued\":%zu,\"dropped\":%zu";
static const char as_text[] = "  matched %zu  written %zu  queued %zu  dropped %zu\n";

static void print_receipts_json(const struct send_one *s, const struct receipt *sum,
                                const struct gateway_receipt *rows, size_t count) {
    putchar('{');
    print_ids(s);
    putchar(',');
    print_counts(sum, as_json);
    printf(",\"gateways\":[");
    for (size_t i = 0; i < count; i++) {
        printf("%s{\"id\":\"%s\",", i > 0 ? "," : "", rows[i].gateway);
        print_counts(&rows[i].receipt, as_json);
        putchar('}');
    }
    puts("]}");
}

static void print_receipts_text(const struct receipt *sum, const struct gateway_receipt *rows,
                                size_t count) {
    if (sum->matched == 0)
        puts("nobody was connected");
    for (size_t i = 0; i < count && sum->matched > 0; i++) {
        printf("gateway %s", rows[i].gateway);
        print_counts(&rows[i].receipt, as_text);
    }
    if (count > 1 && sum->matched > 0) {
        printf("together                ");
        print_counts(sum, as_text);
    }
}

/* --- the way of the message, from its end --- */

static void on_receipts_end(void *ctx, const struct receipt *sum,
                            const struct gateway_receipt *rows, size_t count) {
    struct send_one *s = ctx;
    s->receipts = NULL;
    if (s->tool->is_json)
        print_receipts_json(s, sum, rows, count);
    else
        print_receipts_text(sum, rows, count);
    tool_end(s->tool, sum->matched > 0 ? TOOL_OK : TOOL_NOBODY);
}

static void finish(struct send_one *s) {
    bool collects = s->receipts != NULL && s->wait_ms > 0;
    if (!collects || !s->tool->is_json)
        print_id(s);
    if (collects)
        receipts_collect(s->receipts, (uint64_t)s->wait_ms);
    else
        tool_end(s->tool, TOOL_OK);
}

/* The message's id, or empty when no broker has reported it. */
static void on_id(void *ctx, struct bytes id) {
    struct send_one *s = ctx;
    snprintf(s->message_id, sizeof(s->message_id), "%.*s", BYTES_FMT(id));
    finish(s);
}

static void on_verdict(void *ctx, enum verdict_kind kind, size_t refused, struct bytes reason) {
    struct send_one *s = ctx;
    (void)refused;
    switch (kind) {
    case VERDICT_REFUSED:
        tool_complain(s->tool, "refused: %.*s", BYTES_FMT(reason));
        tool_end(s->tool, TOOL_FAILED);
        return;
    case VERDICT_LOST:
        tool_complain(s->tool, "accepted, but the connection to Redis broke before the verdict");
        tool_end(s->tool, TOOL_FAILED);
        return;
    case VERDICT_WAITS:
        tool_complain(s->tool,
                      "accepted and kept, but no broker has taken it yet: is one running?");
        print_id(s);
        tool_end(s->tool, s->wait_ms > 0 ? TOOL_FAILED : TOOL_OK);
        return;
    case VERDICT_TAKEN: break;
    }
    if (s->has_one_id && s->receipts != NULL)
        receipts_await_id(s->receipts, ID_MS);
    else
        finish(s);
}

static void on_published(void *ctx, int status, struct bytes id) {
    struct send_one *s = ctx;
    if (status < 0) {
        tool_complain(s->tool, "%.*s", BYTES_FMT(id));
        tool_end(s->tool, TOOL_FAILED);
        return;
    }
    snprintf(s->entry, sizeof(s->entry), "%.*s", BYTES_FMT(id));
    if (s->has_no_wait) {
        print_id(s);
        tool_end(s->tool, TOOL_OK);
        return;
    }
    uint64_t patience_ms = s->wait_ms > 0 ? (uint64_t)s->wait_ms : SEND_VERDICT_MS;
    struct verdict_question q = {bytes_str(s->entry), bytes_str(s->entry), buf_bytes(&s->text),
                                 patience_ms};
    verdict_ask(s->tool->bus, &q, on_verdict, s);
}

static void publish(void *ctx) {
    struct send_one *s = ctx;
    struct buf error = {0};
    buf_clear(&s->text);
    public_message_write(&s->text, &s->what);
    if (delivery_fits(&s->what, s->tool->bus, &error) &&
        publish_check(s->tool->bus, s->text.len, &error) == 0) {
        publish_json(s->tool->bus, buf_bytes(&s->text), on_published, s);
    } else {
        tool_complain(s->tool, "%.*s", BYTES_FMT(buf_bytes(&error)));
        tool_end(s->tool, TOOL_FAILED);
    }
    buf_deinit(&error);
}

static void on_ready(void *ctx) {
    static const struct receipts_events events = {publish, on_id, on_receipts_end};
    struct send_one *s = ctx;
    bool is_waited_for = s->wait_ms > 0;
    if (!is_waited_for && (!s->has_one_id || s->has_no_wait)) {
        publish(s);
        return;
    }
    bool has_name = is_waited_for && s->what.names.count > 0;
    s->receipts =
        receipts_listen(s->tool->bus, has_name ? s->what.names.items[0] : BYTES_NONE, &events, s);
    s->what.flags |= FLAG_RECEIPT;
    s->what.from = bytes_str(receipts_token(s->receipts));
}

/* There is no id of what is not sent. */
static int complain(const struct send_one *s, enum send_check check, struct bytes why) {
    tool_complain(s->tool, "%.*s", BYTES_FMT(why));
    if (check == SEND_BAD)
        return TOOL_USAGE;
    if (s->tool->is_json)
        puts("{\"entry\":null,\"id\":null}");
    return TOOL_FAILED;
}

int send_one_run(struct send_one *s) {
    struct buf error = {0};
    int exit_code = TOOL_USAGE;
    public_message_write(&s->text, &s->what);
    enum send_check check = send_one_check(buf_bytes(&s->text), NULL, &error);
    if (check != SEND_FINE)
        exit_code = complain(s, check, buf_bytes(&error));
    else if (tool_connect(s->tool))
        exit_code = tool_run(s->tool, on_ready, s);
    buf_deinit(&error);
    return exit_code;
}

void send_one_deinit(struct send_one *s) {
    receipts_drop(s->receipts);
    texts_deinit(&s->names);
    texts_deinit(&s->groups);
    texts_deinit(&s->clients);
    buf_deinit(&s->text);
}
