/*
 * function_code.h - a registration of a handler as text, so that every process can make it.
 *
 *   {"op":"set","path":"/x","endpoint":"e","code":"<base64 of the
 * bytecode>","upvalues":["e","n",…], "args":[…]}
 *   {"op":"remove","type":"connect","name":"Msg","event_name":"greet"}
 *
 * Upvalues: "e" the globals, "n" nil, "t" "f" booleans, "i5" integers, "d0x1p-1" floats, "s…" texts
 * in base64. Other upvalues (tables, functions) belong to one process: refused.
 */
#ifndef SIGNALBOX_APP_RUNNING_FUNCTION_CODE_H
#define SIGNALBOX_APP_RUNNING_FUNCTION_CODE_H

#include "common/app/running/app_state.h"

struct json_document;

struct function_code {
    struct app_change change; /* its texts are owned by this struct */
    struct json_document *document;
    struct buf text;
};

/* Appends the value of the rule. `function` and `arguments` (0: none) are stack indices. false with
 * one line in error_out; does not raise. */
bool function_code_write(struct lua_State *L, const struct app_change *change, int function,
                         int arguments, struct buf *out, struct buf *error_out);
/* Everything but the function itself; function_code_free also after false. */
bool function_code_read(struct function_code *code, struct bytes value, struct buf *error_out);
/* Makes function and arguments and puts their references into code->change. Raises. */
void function_code_build(struct lua_State *L, struct function_code *code);
void function_code_free(struct function_code *code);

#endif
