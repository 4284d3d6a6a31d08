/*
 * registry_view.h - what Redis holds, read by the checker itself: at once, and past every fault.
 */
#ifndef SIGNALBOX_WORLD_REGISTRY_VIEW_H
#define SIGNALBOX_WORLD_REGISTRY_VIEW_H

/* Each registered connection of the Name. */
void registry_each(int name, void (*fn)(void *ctx, const char *client, const char *group),
                   void *ctx);
/* A member of the set of a gateway that the registry does not have; NULL: none. */
const char *registry_stray(void);
/* Each message that was taken into its partition and is not processed yet. */
void registry_each_waiting(void (*fn)(unsigned sent));

#endif
