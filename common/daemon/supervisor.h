/*
 * supervisor.h - reports to systemd how the process is, by the protocol of sd_notify(3): a datagram
 * to the socket that NOTIFY_SOCKET names (a path, or an abstract name after '@').
 *
 *     READY=1       once, when the process does its job for the first time; and after a reload
 *     STATUS=…      what /readyz says, whenever it changes
 *     RELOADING=1   with MONOTONIC_USEC, before a reload
 *     STOPPING=1    with EXTEND_TIMEOUT_USEC: how long the end may take
 *     WATCHDOG=1    when WATCHDOG_USEC asks for it: the loop still turns
 *
 * Without NOTIFY_SOCKET nothing is sent. systemd must not hold up the process: what it does not
 * take at once, because its queue is full or its socket is gone, is sent with the next tick.
 */
#ifndef SIGNALBOX_DAEMON_SUPERVISOR_H
#define SIGNALBOX_DAEMON_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

enum { SUPERVISOR_STATUS_MAX = 200 };

struct supervisor {
    int fd; /* -1: there is no NOTIFY_SOCKET */
    struct sockaddr_un address;
    unsigned address_len;
    bool was_ready, is_stopping;
    bool owes_ready, owes_status, owes_alive, owes_stopping; /* not delivered yet */
    uint64_t stop_us;
    uint64_t watchdog_ms; /* 0: not wanted */
    uint64_t alive_ms;    /* when WATCHDOG=1 was due last */
    char status[SUPERVISOR_STATUS_MAX];
};

/* From the environment. A NOTIFY_SOCKET that is no address is ignored, with one line in the log. */
void supervisor_init(struct supervisor *s);
void supervisor_deinit(struct supervisor *s);
/* Every second or so. trouble: "" when the process does its job, else why not. */
void supervisor_tick(struct supervisor *s, const char *trouble);
/* Around a reload; nothing before the process was ready. */
void supervisor_reloading(struct supervisor *s);
void supervisor_reloaded(struct supervisor *s);
/* The end begins and may take this long. */
void supervisor_stopping(struct supervisor *s, uint64_t at_most_ms);

#endif
