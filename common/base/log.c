/* log.c - see log.h. One write(2) a line, so that lines of several processes never mix. */
#include "common/base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"

enum { MINUTE_MS = 60000 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *process_name = "signalbox";
static enum log_level lowest = LOG_INFO;
static bool as_json;

void log_init(const char *process) {
    process_name = process;
}

void log_set_level(enum log_level level) {
    lowest = level;
}

void log_set_json(bool is_json) {
    as_json = is_json;
}

bool log_level_parse(const char *text, enum log_level *level_out) {
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
        if (strcmp(text, level_names[i]) == 0) {
            *level_out = (enum log_level)i;
            return true;
        }
    return false;
}

static void append_escaped(struct buf *out, struct bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, as_json ? "\\u%04x" : "\\x%02x", c);
        else
            buf_append_char(out, (char)c);
    }
}

const char *log_text(struct bytes value) {
    static char places[8][860];
    static unsigned turn;
    struct buf text = {0};
    buf_append_char(&text, '"');
    append_escaped(&text, bytes_head(value, 200));
    buf_append_str(&text, value.len > 200 ? "…\"" : "\"");
    char *place = places[turn++ % ARRAY_LEN(places)];
    snprintf(place, sizeof(places[0]), "%.*s", BYTES_FMT(buf_bytes(&text)));
    buf_deinit(&text);
    return place;
}

static void emit(enum log_level level, const char *module, const char *format, va_list args) {
    char when[32];
    struct buf line = {0}, message = {0};
    clock_format_utc(clock_wall_ms(), when);
    buf_vprintf(&message, format, args);
    if (as_json) {
        buf_printf(
            &line,
            "{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",\"module\":\"%s\",\"message\":\"",
            when, level_names[level], process_name, module);
        append_escaped(&line, buf_bytes(&message));
        buf_append_str(&line, "\"}");
    } else {
        buf_printf(&line, "%s %-5s %s/%s: %.*s", when, level_names[level], process_name, module,
                   BYTES_FMT(buf_bytes(&message)));
    }
    buf_deinit(&message);
    buf_append_char(&line, '\n');
    ssize_t done = write(STDERR_FILENO, line.ptr, line.len);
    (void)done; /* a full or closed log must not stop the server */
    buf_deinit(&line);
}

/* --- what a call site may write --- */

static struct log_site *sites; /* that ever suppressed a line */

static void regain(struct log_site *site, uint64_t now) {
    uint64_t gained = (now - site->gained_ms) * site->per_minute / MINUTE_MS;
    if (gained == 0)
        return;
    site->spent = gained >= site->spent ? 0 : site->spent - (unsigned)gained;
    site->gained_ms = now;
}

static void suppress(struct log_site *site, const char *module, const char *format, uint64_t now) {
    metrics_add(METRIC_log_suppressed, 1);
    if (site->format == NULL) {
        site->next = sites;
        sites = site;
        site->told_ms = now;
    }
    site->module = module;
    site->format = format;
    site->suppressed++;
}

static bool is_allowed(struct log_site *site, const char *module, const char *format) {
    if (site == NULL || lowest == LOG_DEBUG)
        return true;
    uint64_t now = clock_ms();
    regain(site, now);
    if (site->spent < site->burst) {
        site->spent++;
        return true;
    }
    suppress(site, module, format, now);
    return false;
}

void log_line(struct log_site *site, enum log_level level, const char *module, const char *format,
              ...) {
    va_list args;
    if (level < lowest || !is_allowed(site, module, format))
        return;
    va_start(args, format);
    emit(level, module, format, args);
    va_end(args);
}

void log_summarize(void) {
    uint64_t now = clock_ms();
    for (struct log_site *site = sites; site != NULL; site = site->next) {
        if (site->suppressed == 0 || now - site->told_ms < MINUTE_MS)
            continue;
        if (lowest <= LOG_WARN)
            log_line(NULL, LOG_WARN, site->module, "suppressed event=%.*s lines=%" PRIu64,
                     (int)strcspn(site->format, " "), site->format, site->suppressed);
        site->suppressed = 0;
        site->told_ms = now;
    }
}
