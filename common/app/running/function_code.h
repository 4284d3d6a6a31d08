/*
 * function_code.h - a signal route or event handler that is set or removed at run time, and its
 * text in the rules of the cluster, by which every process can make the same change.
 *
 *   {"op":"set","path":"/x","endpoint":"e","line":8,"source":"…","upvalues":["e","n",…],"args":[…]}
 *   {"op":"remove","type":"connect","name":"Msg","event_name":"greet"}
 *
 *   source      its text in base64, which is compiled under the sandbox (function_text.h): nothing
 *               that is read from Redis is executed as bytecode, for which Lua has no check
 *   line        where it stands in its chunk; 0: it is a whole chunk
 *   chunk       the name of that in error messages, "@app.lua"; may be absent
 *   upvalues    "e"         the table of globals
 *               "n"         nil
 *               "t" "f"     booleans
 *               "i5"        integers
 *               "d0x1p-1"   floats
 *               "s…"        texts in base64
 *               Others (tables, functions) belong to one process: a handler with one is refused.
 */
#ifndef SIGNALBOX_APP_RUNNING_FUNCTION_CODE_H
#define SIGNALBOX_APP_RUNNING_FUNCTION_CODE_H

#include "common/app/registrations/registrations.h"
#include "common/base/buf.h"

struct json_document;
struct lua_State;

/* Texts are borrowed. */
struct app_change {
    bool is_route, is_set;
    const char *path, *endpoint; /* of a route; endpoint may be NULL */
    enum event_type type;        /* of an event handler, and its names */
    const char *name, *event_name;
    int function, arguments; /* references, now the registration's */
};

struct function_code {
    struct app_change change; /* its texts are owned by this struct */
    char *chunk;              /* or NULL */
    struct json_document *document;
    struct buf text;
};

/* Appends the field of the rule. */
void function_code_field(const struct app_change *c, struct buf *out);
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
