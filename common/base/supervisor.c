/* supervisor.c - see supervisor.h. */
#include "common/base/supervisor.h"

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

static void tell(struct supervisor *s, const struct buf *text) {
    if (s->fd < 0)
        return;
    ssize_t sent = sendto(s->fd, text->ptr, text->len, MSG_NOSIGNAL | MSG_DONTWAIT,
                          (const struct sockaddr *)&s->address, s->address_len);
    if (sent < 0)
        log_debug("supervisor", "failed to notify reason=%s", strerror(errno));
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

/* A line feed would begin another assignment. */
static void append_status(struct supervisor *s, struct buf *text) {
    buf_append_str(text, "STATUS=");
    for (const char *at = s->status; *at != '\0'; at++)
        buf_append_char(text, *at == '\n' ? ' ' : *at);
    buf_append_char(text, '\n');
}

void supervisor_tick(struct supervisor *s, const char *trouble) {
    struct buf text = {0};
    const char *status = *trouble != '\0' ? trouble : "ready";
    if (s->fd < 0)
        return;
    if (*trouble == '\0' && !s->was_ready && !s->is_stopping) {
        s->was_ready = true;
        buf_append_str(&text, "READY=1\n");
    }
    if (strncmp(status, s->status, sizeof(s->status) - 1) != 0) {
        snprintf(s->status, sizeof(s->status), "%s", status);
        append_status(s, &text);
    }
    if (s->watchdog_ms > 0 && clock_ms() - s->alive_ms >= s->watchdog_ms / 3) {
        s->alive_ms = clock_ms();
        buf_append_str(&text, "WATCHDOG=1\n");
    }
    if (text.len > 0)
        tell(s, &text);
    buf_deinit(&text);
}

void supervisor_reloading(struct supervisor *s) {
    struct buf text = {0};
    if (!s->was_ready || s->is_stopping)
        return;
    buf_printf(&text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reloading\n", clock_us());
    tell(s, &text);
    buf_deinit(&text);
}

void supervisor_reloaded(struct supervisor *s) {
    struct buf text = {0};
    if (!s->was_ready || s->is_stopping)
        return;
    buf_append_str(&text, "READY=1\n");
    append_status(s, &text);
    tell(s, &text);
    buf_deinit(&text);
}

void supervisor_stopping(struct supervisor *s, uint64_t at_most_ms) {
    struct buf text = {0};
    s->is_stopping = true;
    buf_printf(&text, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64 "\n", at_most_ms * 1000);
    tell(s, &text);
    buf_deinit(&text);
}
