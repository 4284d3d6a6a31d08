/*
 * log.h - one line an event, on standard error: key=value text or JSON.
 *
 *     log_info("conn", "closed id=%s reason=%s sent=%zu", id, reason, sent);
 *
 * The first word of the message is the past-tense event, the rest is key=value. A value with spaces
 * or quotes goes through LOG_TEXT. Never payloads, never secrets. What a peer did wrong is debug
 * (and a metric): no client may fill the disk.
 */
#ifndef SIGNALBOX_BASE_LOG_H
#define SIGNALBOX_BASE_LOG_H

#include <stdbool.h>

#include "common/base/bytes.h"
#include "common/base/must.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* process: "gateway", "broker", …, kept by pointer. Text format until log_set_json(true). */
void log_init(const char *process);
void log_set_level(enum log_level level);
void log_set_json(bool is_json);
/* "debug" … "error"; false when it is none of them. */
bool log_level_parse(const char *text, enum log_level *level_out);

void log_debug(const char *module, const char *format, ...) PRINTF_LIKE(2, 3);
void log_info(const char *module, const char *format, ...) PRINTF_LIKE(2, 3);
void log_warn(const char *module, const char *format, ...) PRINTF_LIKE(2, 3);
void log_error(const char *module, const char *format, ...) PRINTF_LIKE(2, 3);

/* The bytes in double quotes with quotes, backslashes and control bytes escaped, cut at 200 bytes.
 * The text lives in one of eight turning static places: use it in the same call. */
const char *log_text(struct bytes value);
#define LOG_TEXT(b) log_text(b)

#endif
