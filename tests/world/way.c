/* way.c - see way.h. on_arrival is the heart. */
#include "tests/world/way.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/must.h"

void way_init(struct way *w, const struct net_manner *manner, void (*on_change)(struct way *w),
              bool (*is_cut)(struct way *w)) {
    *w = (struct way){
        .manner = manner, .on_change = on_change, .is_cut = is_cut, .reset_at = UINT64_MAX};
}

void way_deinit(struct way *w) {
    event_cancel(&w->arrival);
    event_cancel(&w->unchoke);
    free(w->bytes);
    free(w->pieces);
}

/* --- pieces under way --- */

static uint64_t delay_us(const struct net_manner *m) {
    uint64_t us = dice_skewed(sim_dice(), m->least_us, m->most_us);
    if (dice_chance(sim_dice(), m->late_ppm))
        us += dice_below(sim_dice(), m->late_us + 1);
    return us;
}

static void on_arrival(struct event *e);

static void await_first(struct way *w) {
    if (w->count > 0)
        event_set(&w->arrival, w->pieces[w->first].at_us, on_arrival);
    else
        event_cancel(&w->arrival);
}

static void send_piece(struct way *w, struct piece piece) {
    if (w->first > 0 && w->first + w->count == w->pieces_room) {
        memmove(w->pieces, w->pieces + w->first, w->count * sizeof(piece));
        w->first = 0;
    } else if (w->count == w->pieces_room) {
        w->pieces_room = w->pieces_room == 0 ? 8 : 2 * w->pieces_room;
        w->pieces = mem_realloc(w->pieces, w->pieces_room * sizeof(piece));
    }
    if (piece.at_us < w->last_us)
        piece.at_us = w->last_us;
    w->last_us = piece.at_us;
    w->pieces[w->first + w->count++] = piece;
    if (w->count == 1 && !w->is_full)
        await_first(w);
}

/* False: not all of it has room in the receive buffer. */
static bool take_data(struct way *w, const struct piece *piece) {
    uint64_t most = w->read + w->manner->buffer_bytes;
    uint64_t to = piece->end < most ? piece->end : most;
    to = to < w->reset_at ? to : w->reset_at;
    w->arrived = to > w->arrived ? to : w->arrived;
    return w->arrived == piece->end;
}

static void broke(struct way *w) {
    w->has_broken = true;
    w->first = w->count = 0;
    w->is_full = false;
}

/* Also what arrives at the same moment. */
static void on_arrival(struct event *e) {
    struct way *w = container_of(e, struct way, arrival);
    if (w->is_cut(w))
        return;
    while (w->count > 0 && w->pieces[w->first].at_us <= sim_now_us() && !w->is_full) {
        const struct piece *piece = &w->pieces[w->first];
        if (piece->kind == PIECE_RESET)
            broke(w);
        else if (piece->kind == PIECE_END)
            w->has_ended = true;
        else
            w->is_full = !take_data(w, piece);
        if (w->arrived >= w->reset_at)
            broke(w);
        if (w->is_full || w->count == 0)
            break;
        w->count--;
        w->first = w->count == 0 ? 0 : w->first + 1;
    }
    if (!w->is_full)
        await_first(w);
    w->on_change(w);
}

void way_go_on(struct way *w) {
    if (w->count == 0 || w->is_full || event_is_set(&w->arrival))
        return;
    event_set(&w->arrival, sim_now_us() + delay_us(w->manner), on_arrival);
}

/* --- the writer --- */

static size_t send_room(const struct way *w) {
    size_t sent = (size_t)(w->written - w->arrived);
    return sent < w->manner->buffer_bytes ? w->manner->buffer_bytes - sent : 0;
}

bool way_is_writable(const struct way *w) {
    size_t wanted = w->was_short ? w->manner->buffer_bytes / 3 : 1;
    return w->has_broken || (!w->is_choked && send_room(w) >= wanted);
}

static void on_unchoke(struct event *e) {
    struct way *w = container_of(e, struct way, unchoke);
    w->is_choked = w->was_short = false;
    w->on_change(w);
}

static void append(struct way *w, const void *bytes, size_t len) {
    size_t held = (size_t)(w->written - w->read);
    if (held + len > w->bytes_room) {
        w->bytes_room = held + len < 512 ? 1024 : 2 * (held + len);
        w->bytes = mem_realloc(w->bytes, w->bytes_room);
    }
    memcpy(w->bytes + held, bytes, len);
    w->written += len;
}

static void send_data(struct way *w, size_t len) {
    uint64_t end = w->written;
    if (len > 1 && dice_chance(sim_dice(), w->manner->split_ppm)) {
        uint64_t middle = end - len + dice_between(sim_dice(), 1, len - 1);
        send_piece(w, (struct piece){PIECE_DATA, sim_now_us() + delay_us(w->manner), middle});
    }
    send_piece(w, (struct piece){PIECE_DATA, sim_now_us() + delay_us(w->manner), end});
}

size_t way_write(struct way *w, const void *bytes, size_t len) {
    size_t room = w->is_choked ? 0 : send_room(w), wanted = len;
    len = len < room ? len : room;
    if (len > 1 && dice_chance(sim_dice(), w->manner->partial_ppm)) {
        len = dice_between(sim_dice(), 1, len - 1);
        w->is_choked = true;
        event_set(&w->unchoke, sim_now_us() + delay_us(w->manner), on_unchoke);
    }
    w->was_short = len < wanted;
    if (len > 0) {
        append(w, bytes, len);
        send_data(w, len);
    }
    return len;
}

void way_finish(struct way *w) {
    if (w->is_finished)
        return;
    w->is_finished = true;
    send_piece(w, (struct piece){PIECE_END, sim_now_us() + delay_us(w->manner), w->written});
}

void way_break(struct way *w, uint64_t at_us) {
    w->is_finished = true;
    if (w->has_broken)
        return;
    if (w->is_full || dice_chance(sim_dice(), 500000)) {
        w->count = w->first = 0;
        w->is_full = false;
        w->last_us = 0;
    }
    send_piece(w, (struct piece){PIECE_RESET, at_us, w->written});
}

/* --- the reader --- */

size_t way_read(struct way *w, void *out, size_t room) {
    size_t len = way_readable(w);
    len = len < room ? len : room;
    if (len > 1 && dice_chance(sim_dice(), w->manner->partial_ppm))
        len = dice_between(sim_dice(), 1, len);
    if (len == 0)
        return 0;
    memcpy(out, w->bytes, len);
    memmove(w->bytes, w->bytes + len, (size_t)(w->written - w->read) - len);
    w->read += len;
    if (w->is_full && way_readable(w) <= w->manner->buffer_bytes / 2) {
        w->is_full = false;
        way_go_on(w);
    }
    return len;
}
