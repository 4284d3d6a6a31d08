/* message_frames.c - see message_frames.h. */
#include "gateway/session/message_frames.h"

#include "gateway/codec/ws_codec.h"
#include "gateway/conn/v1.h"

void message_frames_init(struct message_frames *f) {
    *f = (struct message_frames){0};
    frame_arena_init(&f->arena, FRAME_CHUNK_BYTES);
}

void message_frames_deinit(struct message_frames *f) {
    message_frames_forget(f);
    frame_arena_deinit(&f->arena);
    buf_deinit(&f->text);
}

void message_frames_forget(struct message_frames *f) {
    frame_unref(f->last);
    f->last = FRAME_NONE;
}

static struct frame make(struct message_frames *f, enum ws_opcode opcode, struct bytes payload,
                         uint32_t *header_len_out) {
    unsigned char header[WS_HEADER_OUT_MAX];
    size_t len = ws_frame_header(header, opcode, payload.len);
    *header_len_out = (uint32_t)len;
    return frame_make(&f->arena, bytes_of(header, len), payload);
}

/* Ids are unique only within a partition, so the bytes decide. */
static bool is_last(const struct message_frames *f, const struct message *m) {
    return f->last.chunk != NULL && message_id_compare(f->last_id, m->id) == 0 &&
           f->last_flags == m->flags &&
           bytes_equal(bytes_from(frame_bytes(f->last), f->last_header), m->data);
}

static struct frame plain(struct message_frames *f, const struct message *m) {
    if (is_last(f, m))
        return frame_ref(f->last);
    message_frames_forget(f);
    f->last = make(f, m->flags & FLAG_BINARY ? WS_BINARY : WS_TEXT, m->data, &f->last_header);
    f->last_id = m->id;
    f->last_flags = m->flags;
    return frame_ref(f->last);
}

static struct frame v1(struct message_frames *f, const struct message *m, struct bytes name) {
    uint32_t header_len;
    buf_clear(&f->text);
    v1_message(&f->text, name, m->id, m->flags, m->data);
    struct frame made = make(f, WS_TEXT, buf_bytes(&f->text), &header_len);
    if (f->text.cap > 65536)
        buf_release(&f->text);
    return made;
}

struct frame message_frames_make(struct message_frames *f, const struct message *m,
                                 struct bytes name, bool is_v1) {
    /* A note is the whole text already. */
    return is_v1 && m->kind != MESSAGE_NOTE ? v1(f, m, name) : plain(f, m);
}
