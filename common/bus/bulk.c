/* bulk.c - see bulk.h. */
#include "common/bus/bulk.h"

#include "common/base/must.h"

void bulk_init(struct bulk *b) {
    TAILQ_INIT(&b->waiting);
    b->bytes = 0;
}

static bool has_room(const struct bulk *b, size_t bytes) {
    return b->bytes == 0 || b->bytes + bytes <= BULK_MOST;
}

static void begin(struct bulk *b, struct bulk_turn *turn) {
    turn->state = BULK_TAKEN;
    b->bytes += turn->bytes;
}

bool bulk_take(struct bulk *b, struct bulk_turn *turn, size_t bytes) {
    MUST(turn->state == BULK_NONE);
    turn->bytes = bytes < BULK_MIN ? 0 : bytes;
    if (turn->bytes == 0 || (TAILQ_EMPTY(&b->waiting) && has_room(b, bytes))) {
        begin(b, turn);
        return true;
    }
    turn->state = BULK_WAITING;
    TAILQ_INSERT_TAIL(&b->waiting, turn, link);
    return false;
}

static void begin_next(struct bulk *b) {
    struct bulk_turn *next;
    while ((next = TAILQ_FIRST(&b->waiting)) != NULL && has_room(b, next->bytes)) {
        TAILQ_REMOVE(&b->waiting, next, link);
        begin(b, next);
        next->on_turn(next);
    }
}

void bulk_leave(struct bulk *b, struct bulk_turn *turn) {
    if (turn->state == BULK_TAKEN)
        b->bytes -= turn->bytes;
    else if (turn->state == BULK_WAITING)
        TAILQ_REMOVE(&b->waiting, turn, link);
    turn->state = BULK_NONE;
    begin_next(b);
}
