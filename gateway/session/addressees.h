/*
 * addressees.h - whom one message addresses, for questions about many connections that are in no
 * table: the lists are read once, and then each question is a look-up.
 */
#ifndef SIGNALBOX_GATEWAY_SESSION_ADDRESSEES_H
#define SIGNALBOX_GATEWAY_SESSION_ADDRESSEES_H

#include "common/base/text_set.h"
#include "common/bus/log/envelope.h"

struct client;

/* Zeroed but for m, which must outlive it. */
struct addressees {
    const struct message *m;
    bool is_read; /* the sets are filled */
    struct text_set groups /* folded */, ids;
    struct arena texts; /* of the groups */
};

bool addressees_have(struct addressees *a, const struct client *client);
void addressees_deinit(struct addressees *a);

#endif
