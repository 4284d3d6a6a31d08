/* message_frames.c - see message_frames.h. */
#include "gateway/session/message_frames.h"

#include "gateway/session/client.h"

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

static struct frame plain(struct message_frames *f, const struct message *m, enum wire wire) {
    /* Ids are unique only within a partition, so the bytes decide. */
    if (f->last.chunk != NULL && message_id_compare(f->last_id, m->id) == 0 &&
        f->last_wire == wire && f->last_flags == m->flags &&
        bytes_equal(bytes_from(frame_bytes(f->last), f->last_header), m->data))
        return frame_ref(f->last);
    message_frames_forget(f);
    f->last = wire_frame(wire, &f->arena, m->flags & FLAG_BINARY, m->data);
    f->last_header = f->last.len - (uint32_t)m->data.len;
    f->last_wire = wire;
    f->last_id = m->id;
    f->last_flags = m->flags;
    return frame_ref(f->last);
}

/* The frame of what is in `text`. */
static struct frame take_text(struct message_frames *f, enum wire wire) {
    struct frame made = wire_frame(wire, &f->arena, false, buf_bytes(&f->text));
    buf_clear(&f->text);
    if (f->text.cap > 65536)
        buf_release(&f->text);
    return made;
}

static struct frame v1(struct message_frames *f, const struct message *m, struct bytes name,
                       enum wire wire) {
    wire_message(&f->text, name, m->id, m->flags, m->data);
    return take_text(f, wire);
}

struct frame message_frames_make(struct message_frames *f, const struct message *m,
                                 struct bytes name, enum wire wire) {
    /* A note is the whole text already. */
    return wire_is_v1(wire) && m->kind != MESSAGE_NOTE ? v1(f, m, name, wire) : plain(f, m, wire);
}

struct frame message_frames_hello(struct message_frames *f, const struct client *client,
                                  struct message_id position, enum wire_recovered recovered) {
    wire_hello(&f->text, &client->who, position, recovered);
    return take_text(f, client->wire);
}
