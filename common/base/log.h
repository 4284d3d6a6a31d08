/*
 * log.h - one line per event, on standard error: key=value text or JSON.
 *
 *     log_info("conn", "closed id=%s reason=%s sent=%zu", id, reason, sent);
 *
 * The first word of the message is the past-tense event, the rest is key=value. A value with spaces
 * or quotes goes through LOG_TEXT. Never payloads, never secrets. What a peer did wrong is debug
 * (and a metric).
 *
 * Nobody can fill the disk: every call site has a bucket of LOG_BURST lines that regains
 * LOG_PER_MINUTE. A line that finds the bucket empty is counted instead of written, in
 * METRIC_log_suppressed and once a minute in a line "suppressed event=… lines=N". With log level
 * debug every line is written.
 */
#ifndef SIGNALBOX_BASE_LOG_H
#define SIGNALBOX_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/must.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* process: "gateway", "broker", …, kept by pointer. Text format until log_set_json(true). */
void log_init(const char *process);
void log_set_level(enum log_level level);
void log_set_json(bool is_json);
/* "debug" … "error"; false when it is none of them. */
bool log_level_parse(const char *text, enum log_level *level_out);

enum { LOG_BURST = 50, LOG_PER_MINUTE = 10, LOG_APP_BURST = 1000, LOG_APP_PER_MINUTE = 60 };

/* A place that logs; static, zero but for its rates. */
struct log_site {
    unsigned burst, per_minute;
    const char *module, *format;
    struct log_site *next;
    uint64_t gained_ms, told_ms;
    unsigned spent;
    uint64_t suppressed;
};

/* site: NULL for a line without a bound. */
void log_line(struct log_site *site, enum log_level level, const char *module, const char *format,
              ...) PRINTF_LIKE(4, 5);

#define LOG_LIMITED(most, gain, level, ...)                                                        \
    do {                                                                                           \
        static struct log_site log_site_ = {.burst = (most), .per_minute = (gain)};                \
        log_line(&log_site_, (level), __VA_ARGS__);                                                \
    } while (0)

#define log_debug(...) log_line(NULL, LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  LOG_LIMITED(LOG_BURST, LOG_PER_MINUTE, LOG_INFO, __VA_ARGS__)
#define log_warn(...)  LOG_LIMITED(LOG_BURST, LOG_PER_MINUTE, LOG_WARN, __VA_ARGS__)
#define log_error(...) LOG_LIMITED(LOG_BURST, LOG_PER_MINUTE, LOG_ERROR, __VA_ARGS__)
/* What the app says itself, at info: its author may look at every message for a while. */
#define log_app(...) LOG_LIMITED(LOG_APP_BURST, LOG_APP_PER_MINUTE, LOG_INFO, __VA_ARGS__)

/* Writes what was suppressed, one line per site and minute. Called every second. */
void log_summarize(void);

/* The bytes in double quotes with quotes, backslashes and control bytes escaped, cut at 200 bytes.
 * The text lives in one of eight turning static places: use it in the same call. */
const char *log_text(struct bytes value);
#define LOG_TEXT(b) log_text(b)

#endif
