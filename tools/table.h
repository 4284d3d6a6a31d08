/*
 * table.h - columns for people.
 *
 *     struct table t;
 *     table_init(&t, 2, names);          the first row is the heading
 *     table_cell(&t, name);
 *     table_print(&t);
 */
#ifndef SIGNALBOX_TOOLS_TABLE_H
#define SIGNALBOX_TOOLS_TABLE_H

#include "common/base/buf.h"

enum { TABLE_COLUMNS_MAX = 8 };

struct table {
    unsigned columns;
    size_t widths[TABLE_COLUMNS_MAX];
    struct buf cells; /* NUL-terminated texts, row after row */
    size_t count;
};

/* Copies. Control bytes are shown as \xNN: what clients chose must not drive a terminal. */
void table_cell(struct table *t, struct bytes text);
/* Starts with the heading: columns is the number of names. */
void table_init(struct table *t, unsigned columns, const char *const *names);
/* To standard output; nothing when there are no rows below the heading. Gives the memory back. */
void table_print(struct table *t);
size_t table_rows(const struct table *t);

/* Appends text as it may be shown on a terminal. */
void table_append_shown(struct buf *out, struct bytes text);

#endif
