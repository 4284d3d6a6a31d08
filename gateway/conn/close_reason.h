/* close_reason.h - the table of close reasons, as an enum and its readers. See close_reason.def. */
#ifndef SIGNALBOX_GATEWAY_CONN_CLOSE_REASON_H
#define SIGNALBOX_GATEWAY_CONN_CLOSE_REASON_H

#include <stdio.h>

enum close_reason {
#define X(NAME, code, text, docs) CLOSE_##NAME,
#include "gateway/conn/close_reason.def"
#undef X
    CLOSE_REASON_COUNT
};

int close_reason_code(enum close_reason reason);
/* The text of the close frame. */
const char *close_reason_text(enum close_reason reason);
/* The Markdown table of docs/protocol.md. */
void close_reason_print_markdown(FILE *out);

#endif
