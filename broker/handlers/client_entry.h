/*
 * client_entry.h - an entry CLIENT, the message of a client: the app's signal route for it, or the
 * default, which sends it to everybody it addresses.
 */
#ifndef SIGNALBOX_BROKER_HANDLERS_CLIENT_ENTRY_H
#define SIGNALBOX_BROKER_HANDLERS_CLIENT_ENTRY_H

struct processing;

void client_entry_process(struct processing *p);

#endif
