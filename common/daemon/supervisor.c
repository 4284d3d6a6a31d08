/* supervisor.c - see supervisor.h. */
#include "common/daemon/supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/utf8.h"

static bool tell(struct supervisor *s, const struct buf *text) {
    ssize_t sent = sendto(s->fd, text->ptr, text->len, MSG_NOSIGNAL | MSG_DONTWAIT,
                          (const struct sockaddr *)&s->address, s->address_len);
    if (sent < 0)
        log_debug("supervisor", "failed to notify reason=%s", strerror(errno));
    return sent >= 0;
}

/* A path or "@name"; the name of an abstract socket begins with NUL and is as long as it says. */
static int read_address(struct supervisor *s, const char *text) {
    size_t len = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || len < 2 || len >= sizeof(s->address.sun_path))
        return -EINVAL;
    s->address.sun_family = AF_UNIX;
    memcpy(s->address.sun_path, text, len + 1);
    s->address_len = (unsigned)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    if (text[0] == '@') {
        s->address.sun_path[0] = '\0';
        s->address_len--;
    }
    return 0;
}

/* WATCHDOG_PID says whom the watchdog is for. */
static uint64_t read_watchdog(void) {
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t value, whom;
    if (usec == NULL || !bytes_to_u64(bytes_str(usec), &value))
        return 0;
    if (pid != NULL && (!bytes_to_u64(bytes_str(pid), &whom) || whom != (uint64_t)getpid()))
        return 0;
    return value / 1000;
}

void supervisor_init(struct supervisor *s) {
    const char *text = getenv("NOTIFY_SOCKET");
    *s = (struct supervisor){.fd = -1};
    if (text == NULL || *text == '\0')
        return;
    if (read_address(s, text) < 0) {
        log_warn("supervisor", "ignored NOTIFY_SOCKET=%s: neither a path nor @name",
                 LOG_TEXT(bytes_str(text)));
        return;
    }
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    s->watchdog_ms = read_watchdog();
}

void supervisor_deinit(struct supervisor *s) {
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static void append_owed(struct supervisor *s, struct buf *text) {
    if (s->owes_stopping)
        buf_printf(text, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64 "\n", s->stop_us);
    else if (s->owes_ready)
        buf_append_str(text, "READY=1\n");
    if (s->owes_status) {
        buf_append_str(text, "STATUS=");
        for (const char *at = s->status; *at != '\0'; at++)
            buf_append_char(text, *at == '\n' ? ' ' : *at); /* else another assignment began */
        buf_append_char(text, '\n');
    }
    if (s->owes_alive)
        buf_append_str(text, "WATCHDOG=1\n");
}

/* What is not delivered is owed until the next tick. */
static void tell_owed(struct supervisor *s) {
    struct buf text = {0};
    if (s->fd < 0)
        return;
    append_owed(s, &text);
    if (text.len > 0 && tell(s, &text))
        s->owes_stopping = s->owes_ready = s->owes_status = s->owes_alive = false;
    buf_deinit(&text);
}

void supervisor_tick(struct supervisor *s, const char *trouble) {
    struct bytes status =
        utf8_head(bytes_str(*trouble != '\0' ? trouble : "ready"), sizeof(s->status) - 1);
    if (*trouble == '\0' && !s->was_ready && !s->is_stopping)
        s->was_ready = s->owes_ready = true;
    if (!bytes_equal_str(status, s->status)) {
        snprintf(s->status, sizeof(s->status), "%.*s", BYTES_FMT(status));
        s->owes_status = true;
    }
    if (s->watchdog_ms > 0 && clock_ms() - s->alive_ms >= s->watchdog_ms / 3) {
        s->alive_ms = clock_ms();
        s->owes_alive = true;
    }
    tell_owed(s);
}

void supervisor_reloading(struct supervisor *s) {
    struct buf text = {0};
    if (s->fd < 0 || !s->was_ready || s->is_stopping)
        return;
    buf_printf(&text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reloading\n", clock_us());
    (void)tell(s, &text);
    buf_deinit(&text);
}

void supervisor_reloaded(struct supervisor *s) {
    if (!s->was_ready || s->is_stopping)
        return;
    s->owes_ready = s->owes_status = true;
    tell_owed(s);
}

void supervisor_stopping(struct supervisor *s, uint64_t at_most_ms) {
    s->is_stopping = s->owes_stopping = true;
    s->stop_us = at_most_ms * 1000;
    tell_owed(s);
}
