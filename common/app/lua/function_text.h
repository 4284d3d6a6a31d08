/*
 * function_text.h - a Lua function as text: taken out of the chunk in which it stands, so that
 * another process can compile it. Bytecode would be executed unchecked by whoever reads it; text is
 * compiled under the sandbox.
 *
 *     local greeting = "hello"                    the chunk "@app.lua", line 7
 *     on_join = function(event) … greeting … end
 *
 *     local greeting return function(event) … greeting … end        what is written, and line 8
 *
 * The outer locals are declared in front of it, in the order in which the function counts its
 * upvalues; the caller sets their values. What was taken out is compiled and compared with the
 * function before it is believed.
 */
#ifndef SIGNALBOX_APP_LUA_FUNCTION_TEXT_H
#define SIGNALBOX_APP_LUA_FUNCTION_TEXT_H

#include "common/base/buf.h"

struct lua_State;

enum {
    FUNCTION_TEXT_MAX = 1024 * 1024,  /* bytes of the text with the lines before it */
    CHUNK_TEXTS_MAX = 4 * 1024 * 1024 /* bytes kept of chunks that scripts loaded under a name */
};

/* Keeps the text of a chunk for function_text_write, by its name. One whose name is its text, as
 * `load` has it, needs no keeping. May raise. */
void function_text_keep(struct lua_State *L, const char *name, struct bytes text, bool is_file);

/* Appends the text of the function at this stack index; *line_out is the line on which it stands,
 * 0 when it is a whole chunk. The function must come from a chunk that was kept or is its own name.
 * False with one line in error_out, for after "a handler …". Does not raise. */
MUST_CHECK bool function_text_write(struct lua_State *L, int function, struct buf *out,
                                    int *line_out, struct buf *error_out);

/* Pushes the function that the text makes; its upvalues are nil, but the globals of a whole chunk.
 * chunk: its name in error messages, "" for none. Raises. The text may come from anybody: the
 * caller has set a slice (budget.h). */
void function_text_build(struct lua_State *L, struct bytes text, int line, struct bytes chunk);

#endif
