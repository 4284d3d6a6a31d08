/* later.h - a call on a later turn of the loop, so that an answer never comes inside the call that
 * asked. It cannot be taken back. */
#ifndef SIGNALBOX_NET_LATER_H
#define SIGNALBOX_NET_LATER_H

#include <uv.h>

void later(uv_loop_t *loop, void (*fn)(void *ctx), void *ctx);
/* After everything else that this turn has to do: for the next part of some long work. */
void later_on_next_turn(uv_loop_t *loop, void (*fn)(void *ctx), void *ctx);

#endif
