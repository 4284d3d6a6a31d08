/* retained.c - see retained.h. */
#include "common/bus/log/retained.h"

#include <errno.h>
#include <stdlib.h>

struct retained {
    struct look_back *look_back;
    retained_fn *fn;
    void *ctx;
    unsigned limit;
    struct buf blobs; /* the messages, one after the other */
    size_t ends[LOOK_BACK_MAX];
    size_t count;
    struct message_id last; /* the oldest of them */
    bool has_more;
};

bool retained_parse_before(struct bytes text, struct message_id *before_out) {
    return message_id_parse(text, before_out) && !message_id_is_none(*before_out);
}

const char *retained_failure(int status) {
    return status == -ESTALE ? "before: the data that it belongs to was given up"
                             : "Redis went away";
}

static void retained_free(struct retained *r) {
    buf_deinit(&r->blobs);
    free(r);
}

static void give(struct retained *r) {
    struct message *messages = mem_zalloc((r->count + 1) * sizeof(*messages));
    struct retained_page page = {.messages = messages, .count = r->count};
    size_t start = 0;
    for (size_t i = 0; i < r->count; i++) {
        struct bytes all = bytes_head(buf_bytes(&r->blobs), r->ends[i]);
        bool is_to_every = all.ptr[start] != 0;
        MUST(message_decode(bytes_from(all, start + 1), &messages[i]) == PARSE_OK);
        messages[i].is_to_every = is_to_every;
        start = r->ends[i];
    }
    if (r->has_more)
        page.next = r->last;
    r->fn(r->ctx, 0, &page);
    for (size_t i = 0; i < r->count; i++)
        message_free(&messages[i]);
    free(messages);
}

/* A close was for those who were connected. */
static bool on_message(void *ctx, const struct message *m) {
    struct retained *r = ctx;
    if (m->kind != MESSAGE_DATA)
        return true;
    r->has_more = r->count == r->limit || r->blobs.len > RETAINED_BYTES_MAX;
    if (r->has_more)
        return false;
    buf_append_char(&r->blobs, m->is_to_every ? 1 : 0);
    message_encode(&r->blobs, m);
    r->ends[r->count++] = r->blobs.len;
    r->last = m->id;
    return true;
}

static void on_done(void *ctx, int status) {
    struct retained *r = ctx;
    if (status == 0)
        give(r);
    else
        r->fn(r->ctx, status, NULL);
    retained_free(r);
}

struct retained *retained_start(struct bus *bus, const struct retained_ask *ask, retained_fn *fn,
                                void *ctx) {
    static const struct look_back_events events = {on_message, on_done};
    struct retained *r = mem_zalloc(sizeof(*r));
    MUST(ask->limit > 0 && ask->limit <= LOOK_BACK_MAX);
    r->fn = fn;
    r->ctx = ctx;
    r->limit = ask->limit;
    const struct look_back_range range = {
        .name = ask->name, .before = ask->before, .is_doubted = true, .wanted = ask->limit + 1};
    r->look_back = look_back_start(bus, &range, &events, r);
    return r;
}

void retained_cancel(struct retained *r) {
    if (r == NULL)
        return;
    look_back_cancel(r->look_back);
    retained_free(r);
}
