/*
 * close_reason.h - the table of close reasons (close_reason.def) as an enum and its readers, and
 * what an application may close a connection with.
 */
#ifndef SIGNALBOX_BASE_CLOSE_REASON_H
#define SIGNALBOX_BASE_CLOSE_REASON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum close_reason {
#define X(NAME, code, may_return, text, docs) CLOSE_##NAME,
#include "common/base/close_reason.def"
#undef X
    CLOSE_REASON_COUNT
};

/* Bytes of the reason in a close frame (RFC 6455: 125, less two for the code). */
enum { CLOSE_TEXT_MAX = 123 };

int close_reason_code(enum close_reason reason);
/* The text of the close frame. */
const char *close_reason_text(enum close_reason reason);
/* Whether the client should not come back. */
bool close_reason_is_for_good(enum close_reason reason);
/* The same by the code, which is all that some know: of an application's own it is for good. */
bool close_code_is_for_good(int code);

/* Whether a close frame may have this code (RFC 6455, 7.4). */
bool close_code_is_valid(int64_t code);
/* Whether signalbox.close, POST /close and the CLI may close with this code: those that a server
 * may send of its own accord, and those that are free for applications. */
bool close_code_is_allowed(int64_t code);
#define CLOSE_CODE_RULE "must be 1000, 1001, or 3000 to 4999"

/* The Markdown table of docs/protocol.md. */
void close_reason_print_markdown(FILE *out);

#endif
