/* script.h - what script.c, script_call.c and script_msgpack.c share. */
#ifndef SIGNALBOX_WORLD_REDIS_SCRIPT_H
#define SIGNALBOX_WORLD_REDIS_SCRIPT_H

#include <lauxlib.h>
#include <lua.h>

#include "tests/world/redis/internal.h"

enum { SHA_TEXT = 41 };

enum script_flag { SCRIPT_ALLOWS_OOM = 1, SCRIPT_NO_WRITES = 2, SCRIPT_ALLOWS_STALE = 4 };

struct script {
    char sha[SHA_TEXT];
    bool is_compatible; /* without #!: every command in it is judged for itself */
    unsigned flags;
    int function; /* in Lua's registry */
    size_t len;
};

struct scripts {
    lua_State *lua;
    struct dict by_sha; /* ptr: struct script */
    size_t bytes;
    struct call *call; /* the EVAL that is under way */
    const struct script *running;
    bool has_written;
    struct buf reply;   /* of the command that it calls */
    struct bytes *argv; /* likewise */
    int argc_room;
};

void sha1_hex(struct bytes text, char out[SHA_TEXT]);
/* The table `redis`, on the stack. */
void script_push_redis(lua_State *lua);
void script_push_msgpack(lua_State *lua);
struct scripts *script_self(lua_State *lua);
/* The value on the top of the stack, which is taken, as a reply. */
void script_answer(lua_State *lua, struct call *c);

#endif
