/*
 * globals.h - the product's mutable globals, as one image that can be saved and put back: each
 * simulated process has its own (process.c).
 */
#ifndef SIGNALBOX_WORLD_GLOBALS_H
#define SIGNALBOX_WORLD_GLOBALS_H

/* A new image, free(): the same as another, or, NULL, as they are now. */
void *globals_copy(const void *image);
void globals_save(void *image);
void globals_load(const void *image);

#endif
