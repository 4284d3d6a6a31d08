/*
 * system.h - the system calls of the product that are not libuv's: clocks, chance, memory, and the
 * sockets that it opens by itself. The linker puts system.c in their place (--wrap).
 */
#ifndef SIGNALBOX_WORLD_SYSTEM_H
#define SIGNALBOX_WORLD_SYSTEM_H

#include <stdint.h>

/* The real clock, for the driver; nothing in the world may use it. */
uint64_t system_real_us(void);

#endif
