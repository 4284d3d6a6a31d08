/* compression.c - see compression.h. Read compression_frame first. */
#include "gateway/session/compression.h"

#include "common/base/metrics.h"

enum { KEPT_BYTES = 64 * 1024 };

void compression_init(struct compression *c) {
    *c = (struct compression){0};
    frame_arena_init(&c->arena, FRAME_CHUNK_BYTES);
    deflater_init(&c->deflater);
}

static void forget(struct compression *c) {
    c->has_message = false;
    buf_clear(&c->data);
    for (size_t i = 0; i < DEFLATE_WINDOWS; i++) {
        struct compressed *w = &c->windows[i];
        frame_unref(w->frame);
        buf_deinit(&w->body);
        *w = (struct compressed){0};
    }
}

void compression_deinit(struct compression *c) {
    forget(c);
    buf_deinit(&c->data);
    buf_deinit(&c->scratch);
    buf_deinit(&c->text);
    deflater_deinit(&c->deflater);
    frame_arena_deinit(&c->arena);
}

void compression_trim(struct compression *c) {
    if (c->data.cap <= KEPT_BYTES && c->scratch.cap <= KEPT_BYTES && c->text.cap <= KEPT_BYTES)
        return;
    forget(c);
    buf_release(&c->data);
    buf_release(&c->scratch);
    buf_release(&c->text);
}

/* Its id is no part of what is compressed. */
static bool is_same(const struct compression *c, const struct message *m) {
    return c->has_message && c->flags == m->flags && bytes_equal(buf_bytes(&c->data), m->data);
}

static void begin(struct compression *c, const struct message *m) {
    forget(c);
    c->has_message = true;
    c->flags = m->flags;
    buf_append(&c->data, m->data);
}

static enum compressed_state compress(struct compression *c, int window_bits, struct bytes text,
                                      struct buf *out) {
    size_t before = out->len;
    if (text.len > DEFLATE_BYTES_MAX)
        return COMPRESSED_NOT_SMALLER;
    deflate_message(&c->deflater, window_bits, text, out);
    metrics_add(METRIC_compressions, 1);
    metrics_add(METRIC_compressions_in_bytes, (int64_t)text.len);
    metrics_add(METRIC_compressions_out_bytes, (int64_t)(out->len - before));
    return out->len - before < text.len ? COMPRESSED_SMALLER : COMPRESSED_NOT_SMALLER;
}

static enum compressed_state make_as_it_is(struct compression *c, struct compressed *w,
                                           const struct message *m, int window_bits) {
    if (w->as_it_is != COMPRESSED_NOT_YET)
        return w->as_it_is;
    buf_clear(&c->scratch);
    w->as_it_is = compress(c, window_bits, m->data, &c->scratch);
    if (w->as_it_is == COMPRESSED_SMALLER) {
        w->frame =
            wire_compressed_frame(&c->arena, (m->flags & FLAG_BINARY) != 0, buf_bytes(&c->scratch));
        w->header = w->frame.len - (uint32_t)c->scratch.len;
    }
    return w->as_it_is;
}

/* The body that stands for the data in signalbox.v1; empty: it would not be smaller. */
static struct bytes make_in_v1(struct compression *c, struct compressed *w, const struct message *m,
                               int window_bits) {
    if ((m->flags & FLAG_JSON) != 0 && (m->flags & FLAG_BINARY) == 0) /* the same text */
        return make_as_it_is(c, w, m, window_bits) == COMPRESSED_SMALLER
                   ? bytes_from(frame_bytes(w->frame), w->header)
                   : BYTES_NONE;
    if (w->in_v1 == COMPRESSED_NOT_YET) {
        buf_clear(&c->text);
        wire_message_data(&c->text, m->flags, m->data);
        w->in_v1 = compress(c, window_bits, buf_bytes(&c->text), &w->body);
    }
    return w->in_v1 == COMPRESSED_SMALLER ? buf_bytes(&w->body) : BYTES_NONE;
}

static struct frame v1(struct compression *c, struct compressed *w, const struct message *m,
                       struct bytes name, int window_bits) {
    struct bytes body = make_in_v1(c, w, m, window_bits);
    if (body.len == 0)
        return FRAME_NONE;
    buf_clear(&c->text);
    buf_clear(&c->scratch);
    wire_message_begin(&c->text, name, m->id);
    deflate_surround(buf_bytes(&c->text), body, wire_message_end(m->flags), &c->scratch);
    return wire_compressed_frame(&c->arena, false, buf_bytes(&c->scratch));
}

static struct frame as_it_is(struct compression *c, struct compressed *w, const struct message *m,
                             int window_bits) {
    return make_as_it_is(c, w, m, window_bits) == COMPRESSED_SMALLER ? frame_ref(w->frame)
                                                                     : FRAME_NONE;
}

struct frame compression_frame(struct compression *c, const struct message *m, struct bytes name,
                               enum wire wire) {
    int window_bits = wire_window_bits(wire);
    bool is_wanted = c->min_bytes > 0 && m->kind == MESSAGE_DATA &&
                     (m->flags & FLAG_UNCOMPRESSED) == 0 && m->data.len >= c->min_bytes &&
                     m->data.len <= DEFLATE_BYTES_MAX;
    if (!is_wanted)
        return FRAME_NONE;
    if (!is_same(c, m))
        begin(c, m);
    struct compressed *w = &c->windows[window_bits - DEFLATE_WINDOW_MIN];
    return wire_is_v1(wire) ? v1(c, w, m, name, window_bits) : as_it_is(c, w, m, window_bits);
}
