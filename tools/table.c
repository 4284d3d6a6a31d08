/* table.c - see table.h. */
#include "tools/table.h"

#include <string.h>

#include "common/base/utf8.h"

/* C1 controls are C2 80 … C2 9F in UTF-8. */
static void append_valid(struct buf *out, struct bytes text) {
    unsigned char before = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool is_c1 = before == 0xC2 && c < 0xA0;
        if (is_c1)
            out->len--;
        if (c < ' ' || c == 0x7F || is_c1)
            buf_printf(out, "\\x%02x", c);
        else
            buf_append_char(out, (char)c);
        before = c;
    }
}

void table_append_shown(struct buf *out, struct bytes text) {
    while (text.len > 0) {
        struct bytes valid = utf8_head(text, text.len);
        append_valid(out, valid);
        text = bytes_from(text, valid.len);
        if (text.len > 0) {
            buf_printf(out, "\\x%02x", (unsigned char)text.ptr[0]);
            text = bytes_from(text, 1);
        }
    }
}

void table_append_member(struct buf *out, const char *what, struct bytes text) {
    if (text.len == 0)
        return;
    buf_printf(out, " %s=", what);
    table_append_shown(out, text);
}

void table_vline(FILE *to, const char *format, va_list args) {
    struct buf text = {0}, shown = {0};
    buf_vprintf(&text, format, args);
    table_append_shown(&shown, buf_bytes(&text));
    buf_append_char(&shown, '\n');
    fwrite(shown.ptr, 1, shown.len, to);
    buf_deinit(&shown);
    buf_deinit(&text);
}

void table_line(FILE *to, const char *format, ...) {
    va_list args;
    va_start(args, format);
    table_vline(to, format, args);
    va_end(args);
}

/* Characters, not bytes. */
static size_t width_of(const char *text) {
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += (*text & 0xC0) != 0x80;
    return width;
}

void table_cell(struct table *t, struct bytes text) {
    size_t at = t->cells.len, column = t->count++ % t->columns;
    table_append_shown(&t->cells, text);
    buf_append_char(&t->cells, '\0');
    size_t width = width_of(t->cells.ptr + at);
    if (width > t->widths[column])
        t->widths[column] = width;
}

void table_init(struct table *t, unsigned columns, const char *const *names) {
    MUST(columns > 0 && columns <= TABLE_COLUMNS_MAX);
    *t = (struct table){.columns = columns};
    for (unsigned i = 0; i < columns; i++)
        table_cell(t, bytes_str(names[i]));
}

static void print_cell(const struct table *t, const char *text, size_t column) {
    fputs(text, stdout);
    if (column + 1 == t->columns) {
        fputc('\n', stdout);
        return;
    }
    for (size_t width = width_of(text); width < t->widths[column] + 2; width++)
        fputc(' ', stdout);
}

void table_print(struct table *t) {
    const char *text = t->cells.ptr;
    bool has_rows = t->count > t->columns;
    for (size_t i = 0; has_rows && i < t->count; i++) {
        print_cell(t, text, i % t->columns);
        text += strlen(text) + 1;
    }
    buf_deinit(&t->cells);
}
