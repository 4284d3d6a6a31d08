/*
 * table.h - prints rows as aligned columns, for people.
 *
 *     struct table t;
 *     table_init(&t, 2, names);          the first row is the heading
 *     table_cell(&t, name);
 *     table_print(&t);
 */
#ifndef SIGNALBOX_TOOLS_TABLE_H
#define SIGNALBOX_TOOLS_TABLE_H

#include <stdarg.h>
#include <stdio.h>

#include "common/base/buf.h"

enum { TABLE_COLUMNS_MAX = 8 };

struct table {
    unsigned columns;
    size_t widths[TABLE_COLUMNS_MAX];
    struct buf cells; /* NUL-terminated texts, row after row */
    size_t count;
};

/* Copies the text. Since texts that others chose must not drive a terminal, control bytes and bytes
 * that are not UTF-8 are shown as \xNN. */
void table_cell(struct table *t, struct bytes text);
/* Starts with the heading; there are as many columns as names. */
void table_init(struct table *t, unsigned columns, const char *const *names);
/* Prints to standard output, or nothing when there are no rows below the heading. Frees the
 * cells. */
void table_print(struct table *t);

/* Appends text as a cell of a table shows it: safe for a terminal. */
void table_append_shown(struct buf *out, struct bytes text);
/* Appends " what=text", or nothing for an empty text. */
void table_append_member(struct buf *out, const char *what, struct bytes text);
/* One line of such text, with its line feed. */
void table_line(FILE *to, const char *format, ...) PRINTF_LIKE(2, 3);
void table_vline(FILE *to, const char *format, va_list args);

#endif
