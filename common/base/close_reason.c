/* close_reason.c - see close_reason.def. */
#include "common/base/close_reason.h"

#include "common/base/must.h"

enum { STAY, RETURN };

static const struct {
    int code, may_return;
    const char *name, *text, *docs;
} reasons[] = {
#define X(NAME, code, may_return, text, docs) {code, may_return, #NAME, text, docs},
#include "common/base/close_reason.def"
#undef X
};

int close_reason_code(enum close_reason reason) {
    MUST((size_t)reason < ARRAY_LEN(reasons));
    return reasons[reason].code;
}

const char *close_reason_text(enum close_reason reason) {
    MUST((size_t)reason < ARRAY_LEN(reasons));
    return reasons[reason].text;
}

bool close_reason_is_for_good(enum close_reason reason) {
    MUST((size_t)reason < ARRAY_LEN(reasons));
    return reasons[reason].may_return == STAY;
}

bool close_code_is_for_good(int code) {
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].code == code)
            return reasons[i].may_return == STAY;
    return true;
}

bool close_code_is_valid(int64_t code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

bool close_code_is_allowed(int64_t code) {
    return code == close_reason_code(CLOSE_NORMAL) || code == close_reason_code(CLOSE_RESTART) ||
           (code >= 3000 && code <= 4999);
}

void close_reason_print_markdown(FILE *out) {
    fputs("| code | reason | come back | when |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        fprintf(out, "| %d | %s | %s | %s |\n", reasons[i].code, reasons[i].text,
                reasons[i].may_return == RETURN ? "yes" : "no", reasons[i].docs);
}
