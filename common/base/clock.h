/*
 * clock.h - the two times. Everything that measures or waits uses the monotonic one; the wall clock
 * is for people.
 */
#ifndef SIGNALBOX_BASE_CLOCK_H
#define SIGNALBOX_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds / microseconds since some fixed moment; never goes back. */
uint64_t clock_ms(void);
uint64_t clock_us(void);
/* Milliseconds since 1970-01-01 UTC; may jump. */
uint64_t clock_wall_ms(void);
/* The last moment whose year has four digits. */
#define CLOCK_WALL_LAST_MS UINT64_C(253402300799999)
/* "2026-01-31T23:59:59.123Z"; what is later than CLOCK_WALL_LAST_MS reads as that. */
void clock_format_utc(uint64_t wall_ms, char text_out[32]);

/* For tests: stops the monotonic clock at `ms` until it is set again; 0 gives the real one back. */
void clock_freeze(uint64_t ms);

#endif
