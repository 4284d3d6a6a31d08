/* message_frames.c - see message_frames.h. */
#include "gateway/session/message_frames.h"

#include "common/base/base64.h"
#include "gateway/codec/sse_codec.h"
#include "gateway/conn/v1.h"
#include "gateway/session/client.h"

enum { SCRATCH_KEPT_BYTES = 65536 };

void message_frames_init(struct message_frames *f) {
    *f = (struct message_frames){0};
    frame_arena_init(&f->arena, FRAME_CHUNK_BYTES);
    compression_init(&f->compression);
}

void message_frames_compress(struct message_frames *f, size_t min_bytes) {
    f->compression.min_bytes = min_bytes;
}

void message_frames_deinit(struct message_frames *f) {
    message_frames_forget(f);
    compression_deinit(&f->compression);
    frame_arena_deinit(&f->arena);
    buf_deinit(&f->text);
    buf_deinit(&f->event);
}

static void forget_last(struct message_frames *f) {
    frame_unref(f->last);
    f->last = FRAME_NONE;
}

void message_frames_forget(struct message_frames *f) {
    forget_last(f);
    compression_trim(&f->compression);
}

static struct frame plain(struct message_frames *f, const struct message *m) {
    /* Ids are unique only within a partition, so the bytes decide. */
    if (f->last.chunk != NULL && message_id_compare(f->last_id, m->id) == 0 &&
        f->last_flags == m->flags &&
        bytes_equal(bytes_from(frame_bytes(f->last), f->last_header), m->data))
        return frame_ref(f->last);
    forget_last(f);
    f->last = wire_frame(&f->arena, m->flags & FLAG_BINARY, m->data);
    f->last_header = f->last.len - (uint32_t)m->data.len;
    f->last_id = m->id;
    f->last_flags = m->flags;
    return frame_ref(f->last);
}

static void empty(struct buf *scratch) {
    buf_clear(scratch);
    if (scratch->cap > SCRATCH_KEPT_BYTES)
        buf_release(scratch);
}

static struct frame text_frame(struct message_frames *f, struct bytes text, enum wire wire) {
    return wire == WIRE_CHANNEL ? wire_channel_frame(&f->arena, text)
                                : wire_frame(&f->arena, false, text);
}

/* The frame of what is in `text`. */
static struct frame take_text(struct message_frames *f, enum wire wire) {
    struct frame made = text_frame(f, buf_bytes(&f->text), wire);
    empty(&f->text);
    return made;
}

static struct frame v1(struct message_frames *f, const struct message *m, struct bytes name,
                       enum wire wire) {
    wire_message(&f->text, name, m->id, m->flags, m->data);
    return take_text(f, wire);
}

/* A note is the whole text already. One that is no object is not ours. */
static struct frame channel(struct message_frames *f, const struct message *m, struct bytes name) {
    bool is_object = m->data.len > 1 && m->data.ptr[0] == '{';
    return m->kind == MESSAGE_NOTE && is_object ? text_frame(f, m->data, WIRE_CHANNEL)
                                                : v1(f, m, name, WIRE_CHANNEL);
}

/* ---- event streams */

static struct frame event(struct message_frames *f, enum wire wire, const struct sse_event *e) {
    sse_append(&f->event, e);
    struct frame made = wire_event(wire, &f->arena, &f->event);
    empty(&f->event);
    empty(&f->text);
    return made;
}

/* A note is the whole text already. */
static struct frame message_event(struct message_frames *f, const struct message *m,
                                  struct bytes name, enum wire wire) {
    char id[MESSAGE_ID_TEXT];
    struct sse_event e = {.data = m->data};
    if (!message_id_is_none(m->id) && message_has_place(m))
        e.id = bytes_str(message_id_format(m->id, id));
    if (wire_is_v1(wire) && m->kind != MESSAGE_NOTE) {
        wire_message(&f->text, name, m->id, m->flags, m->data);
        e.data = buf_bytes(&f->text);
    } else if ((m->flags & FLAG_BINARY) != 0) {
        base64_append(&f->text, m->data);
        e.type = "binary";
        e.data = buf_bytes(&f->text);
    }
    return event(f, wire, &e);
}

struct frame message_frames_make(struct message_frames *f, const struct message *m,
                                 struct bytes name, enum wire wire) {
    if (wire_window_bits(wire) > 0) {
        struct frame compressed = compression_frame(&f->compression, m, name, wire);
        if (compressed.chunk != NULL)
            return compressed;
        wire = wire_uncompressed(wire);
    }
    if (wire_is_sse(wire))
        return message_event(f, m, name, wire);
    if (wire == WIRE_CHANNEL)
        return channel(f, m, name);
    return wire_is_v1(wire) && m->kind != MESSAGE_NOTE ? v1(f, m, name, wire) : plain(f, m);
}

struct frame message_frames_hello(struct message_frames *f, enum wire wire, const struct hello *h) {
    char id[MESSAGE_ID_TEXT];
    wire_hello(&f->text, h);
    if (!wire_is_sse(wire))
        return take_text(f, wire);
    struct sse_event e = {.type = "hello",
                          .id = bytes_str(message_id_format(h->position, id)),
                          .retry_ms = v1_retry_ms(),
                          .data = buf_bytes(&f->text)};
    return event(f, wire, &e);
}

struct frame message_frames_text(struct message_frames *f, enum wire wire, const char *event_type,
                                 struct bytes text) {
    struct sse_event e = {.type = event_type, .data = text};
    return wire_is_sse(wire) ? event(f, wire, &e) : text_frame(f, text, wire);
}
