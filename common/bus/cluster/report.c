/* report.c - see report.h. */
#include "common/bus/cluster/report.h"

#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/bus/notice.h"

/* A line feed would end the line. */
static void append_line(struct report *r, const char *kind, const char *format, va_list args) {
    struct buf text = {0};
    if (r->count == REPORT_LINES_MAX)
        return;
    r->count++;
    buf_vprintf(&text, format, args);
    if (text.len > REPORT_LINE_MAX)
        text.len = REPORT_LINE_MAX;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\n' || text.ptr[i] == '\r')
            text.ptr[i] = ' ';
    buf_printf(&r->lines, "\n%s %.*s", kind, BYTES_FMT(buf_bytes(&text)));
    buf_deinit(&text);
}

void report_error(struct report *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    append_line(r, "error", format, args);
    va_end(args);
    r->has_failed = true;
}

void report_restart(struct report *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    append_line(r, "restart", format, args);
    va_end(args);
}

void report_deinit(struct report *r) {
    buf_deinit(&r->lines);
}

void report_log(const struct report *r, const char *module) {
    struct bytes rest = buf_bytes(&r->lines);
    struct report_line line;
    while (report_next(&rest, &line)) {
        if (bytes_equal_str(line.kind, "error"))
            log_error(module, "kept_old reason=%s", LOG_TEXT(line.text));
        else
            log_warn(module, "needs_restart what=%s", LOG_TEXT(line.text));
    }
}

void report_send(const struct report *r, struct bus *bus, struct bytes token) {
    struct notice n = {.kind = NOTICE_report,
                       .report = {.token = token,
                                  .id = bytes_str(bus_id(bus)),
                                  .is_done = !r->has_failed,
                                  .lines = buf_bytes(&r->lines)}};
    if (token.len > 0)
        notice_send(bus, &n);
}

bool report_is_for(const struct notice *n, const char *token) {
    return n->kind == NOTICE_report && bytes_equal_str(n->report.token, token) &&
           n->report.id.len > 0;
}

bool report_next(struct bytes *rest, struct report_line *line_out) {
    if (rest->len > 0 && rest->ptr[0] == '\n')
        *rest = bytes_from(*rest, 1);
    if (rest->len == 0)
        return false;
    struct bytes line = bytes_split(rest, '\n');
    *line_out = (struct report_line){.kind = bytes_split(&line, ' ')};
    line_out->text = line;
    return true;
}
