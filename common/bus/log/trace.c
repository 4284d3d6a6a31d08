/* trace.c - see trace.h. An event is "name length value" one after the other, so that old and new
 * processes understand each other. */
#include "common/bus/log/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/bus/bus_send.h"
#include "common/bus/notice.h"

/* Beyond this, a link that does not drain gets no events: nobody needs them. */
enum { BACKLOG_MAX = 4 * 1024 * 1024, TEXT_MAX = 1024 };

void trace_init(struct trace *t, struct bus *bus, const char *process) {
    *t = (struct trace){.bus = bus, .process = process};
}

static void forget(struct trace *t, struct traced *one) {
    one->token[0] = '\0';
    buf_deinit(&one->text);
    t->count--;
}

void trace_deinit(struct trace *t) {
    for (size_t i = 0; i < TRACES_MAX; i++)
        if (t->all[i].token[0] != '\0')
            forget(t, &t->all[i]);
}

static void forget_expired(struct trace *t) {
    uint64_t now = clock_ms();
    for (size_t i = 0; i < TRACES_MAX; i++)
        if (t->all[i].token[0] != '\0' && now >= t->all[i].until_ms)
            forget(t, &t->all[i]);
}

/* --- notices --- */

static struct traced *find(struct trace *t, struct bytes token) {
    for (size_t i = 0; i < TRACES_MAX; i++)
        if (bytes_equal_str(token, t->all[i].token))
            return &t->all[i];
    return NULL;
}

static struct traced *add(struct trace *t, struct bytes token, bool is_client, struct bytes text) {
    struct traced *one = find(t, BYTES_LIT(""));
    struct trace_event e = trace_event_of("listening");
    if (one == NULL) {
        log_warn("trace", "refused token=%s traces=%u", LOG_TEXT(token), t->count);
        return NULL;
    }
    memcpy(one->token, token.ptr, token.len);
    one->token[token.len] = '\0';
    one->is_client = is_client;
    buf_append(&one->text, text);
    t->count++;
    trace_tell(t, 1u << (one - t->all), &e);
    return one;
}

void trace_on_notice(struct trace *t, const struct notice_trace *n) {
    uint64_t life_ms = n->life_ms < TRACE_LIFE_MAX_MS ? n->life_ms : TRACE_LIFE_MAX_MS;
    if (n->token.len == 0 || n->token.len > TRACE_TOKEN_MAX || n->text.len == 0 ||
        n->text.len > TEXT_MAX)
        return;
    forget_expired(t);
    struct traced *one = find(t, n->token);
    if (life_ms == 0 && one != NULL)
        forget(t, one);
    if (life_ms == 0)
        return;
    if (one == NULL)
        one = add(t, n->token, n->is_client, n->text);
    if (one != NULL)
        one->until_ms = clock_ms() + life_ms;
}

/* --- which traces want a message --- */

static unsigned match(struct trace *t, bool is_client, struct bytes text) {
    unsigned mask = 0;
    forget_expired(t);
    for (unsigned i = 0; i < TRACES_MAX; i++) {
        const struct traced *one = &t->all[i];
        if (one->token[0] != '\0' && one->is_client == is_client &&
            bytes_equal(buf_bytes(&one->text), text))
            mask |= 1u << i;
    }
    return mask;
}

unsigned trace_of_client(struct trace *t, struct bytes client_id) {
    return match(t, true, client_id);
}

unsigned trace_of_name(struct trace *t, struct bytes name) {
    return match(t, false, name);
}

unsigned trace_of_every_name(struct trace *t) {
    unsigned mask = 0;
    forget_expired(t);
    for (unsigned i = 0; i < TRACES_MAX; i++)
        if (t->all[i].token[0] != '\0' && !t->all[i].is_client)
            mask |= 1u << i;
    return mask;
}

/* --- publishing events --- */

struct trace_event trace_event_of(const char *hop) {
    struct trace_event e = {
#define TEXT(member, name)   .member = {NULL, 0},
#define NUMBER(member, name) .member = -1,
#include "common/bus/log/trace.def"
#undef TEXT
#undef NUMBER
    };
    e.hop = bytes_str(hop);
    return e;
}

static bool may_tell(struct trace *t) {
    uint64_t second = clock_ms() / 1000;
    if (t->second != second) {
        t->second = second;
        t->told = 0;
    }
    return bus_can_send(t->bus) && bus_unsent(t->bus, BUS_FLEET) < BACKLOG_MAX &&
           t->told++ < TRACE_EVENTS_MAX;
}

static void publish(struct trace *t, const char *token, struct bytes event) {
    struct buf channel = {0};
    buf_append_str(&channel, fleet_channel(CHANNEL_TRACE));
    buf_append_str(&channel, token);
    struct command c = command_begin("PUBLISH");
    command_bytes(&c, buf_bytes(&channel));
    command_bytes(&c, event);
    bus_send(t->bus, BUS_FLEET, &c, NULL, NULL);
    buf_deinit(&channel);
}

void trace_tell_encoded(struct trace *t, unsigned mask, struct bytes event) {
    struct trace_event stamp = trace_event_of(NULL);
    struct buf whole = {0};
    if (mask == 0 || !may_tell(t))
        return;
    stamp.process = bytes_str(t->process);
    stamp.process_id = bytes_str(bus_id(t->bus));
    stamp.at_ms = (int64_t)clock_wall_ms();
    buf_append(&whole, event);
    trace_event_encode(&whole, &stamp);
    for (unsigned i = 0; i < TRACES_MAX; i++)
        if ((mask & 1u << i) != 0 && t->all[i].token[0] != '\0')
            publish(t, t->all[i].token, buf_bytes(&whole));
    buf_deinit(&whole);
}

void trace_tell(struct trace *t, unsigned mask, const struct trace_event *e) {
    struct buf event = {0};
    trace_event_encode(&event, e);
    trace_tell_encoded(t, mask, buf_bytes(&event));
    buf_deinit(&event);
}

/* --- events as text --- */

static void encode_text(struct buf *out, const char *name, struct bytes value) {
    if (value.ptr == NULL)
        return;
    buf_printf(out, "%s %zu ", name, value.len);
    buf_append(out, value);
    buf_append_char(out, ' ');
}

static void encode_number(struct buf *out, const char *name, int64_t value) {
    char text[24];
    if (value < 0)
        return;
    snprintf(text, sizeof(text), "%" PRId64, value);
    encode_text(out, name, bytes_str(text));
}

void trace_event_encode(struct buf *out, const struct trace_event *e) {
#define TEXT(member, name)   encode_text(out, name, e->member);
#define NUMBER(member, name) encode_number(out, name, e->member);
#include "common/bus/log/trace.def"
#undef TEXT
#undef NUMBER
}

static int64_t to_number(struct bytes value) {
    uint64_t number;
    return bytes_to_u64(value, &number) && number <= INT64_MAX ? (int64_t)number : -1;
}

static void decode_one(struct trace_event *e, struct bytes word, struct bytes value) {
#define TEXT(member, name)                                                                         \
    if (bytes_equal_str(word, name))                                                               \
        e->member = value;
#define NUMBER(member, name)                                                                       \
    if (bytes_equal_str(word, name))                                                               \
        e->member = to_number(value);
#include "common/bus/log/trace.def"
#undef TEXT
#undef NUMBER
}

bool trace_event_decode(struct bytes text, struct trace_event *e_out) {
    *e_out = trace_event_of(NULL);
    while (text.len > 0) {
        struct bytes word = bytes_split(&text, ' ');
        uint64_t len;
        if (!bytes_to_u64(bytes_split(&text, ' '), &len) || len >= text.len)
            return false;
        decode_one(e_out, word, bytes_head(text, len));
        text = bytes_from(text, len + 1);
    }
    return e_out->hop.len > 0;
}
