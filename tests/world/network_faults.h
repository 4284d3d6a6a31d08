/*
 * network_faults.h - what is wrong with the network now, and its names: tables that network.c asks.
 * The functions that set them are in network.h.
 */
#ifndef SIGNALBOX_WORLD_NETWORK_FAULTS_H
#define SIGNALBOX_WORLD_NETWORK_FAULTS_H

#include "tests/world/network.h"

void net_faults_begin(void);
/* Whether the host is that of the address; "*" is every host. */
bool net_is_host(const char *host, const char *address);
/* Whether the two addresses are of these hosts, in either order. */
bool net_are_hosts(const char *a, const char *b, const char (*addresses)[ADDRESS_MAX]);
enum net_cut net_cut_between(const char *from_address, const char *to_address);
bool net_is_host_down(const char *address);
void net_host_goes_down(const char *host);
bool net_host_comes_up(const char *host); /* whether it was down */
int net_take_accept_failure(const char *address);
/* In network.c: after a change, what waited goes on. */
void net_go_on(void);

#endif
