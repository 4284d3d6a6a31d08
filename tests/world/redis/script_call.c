/* script_call.c - the table `redis` of a script: call, pcall, replies in both directions. */
#include <stdio.h>

#include "tests/world/redis/script.h"

/* ---- errors ---- */

/* {err = text, …}: the text begins with its code. */
static void push_error(lua_State *lua, const char *text, size_t len) {
    lua_newtable(lua);
    lua_pushlstring(lua, text, len);
    lua_setfield(lua, -2, "err");
}

static void push_call_error(lua_State *lua, const char *text, size_t len) {
    push_error(lua, text, len);
    lua_pushboolean(lua, 1);
    lua_setfield(lua, -2, "ignore_error_stats_update");
}

/* ---- from a reply to Lua ---- */

static int64_t number_of(struct bytes line) {
    char text[32];
    size_t len = line.len < sizeof(text) - 1 ? line.len : sizeof(text) - 1;
    memcpy(text, line.ptr, len);
    text[len] = '\0';
    return strtoll(text, NULL, 10);
}

static struct bytes take_line(struct bytes *rest) {
    ptrdiff_t end = bytes_find(*rest, '\r');
    struct bytes line = bytes_head(*rest, (size_t)end);
    *rest = bytes_from(*rest, (size_t)end + 2);
    return line;
}

static void push_reply(lua_State *lua, struct bytes *rest) {
    char kind = rest->ptr[0];
    struct bytes line = bytes_from(take_line(rest), 1);
    if (kind == ':') {
        lua_pushnumber(lua, (lua_Number)number_of(line));
    } else if (kind == '-') {
        push_call_error(lua, line.ptr, line.len);
    } else if (kind == '+') {
        lua_newtable(lua);
        lua_pushlstring(lua, line.ptr, line.len);
        lua_setfield(lua, -2, "ok");
    } else if (line.ptr[0] == '-') {
        lua_pushboolean(lua, 0);
    } else if (kind == '$') {
        size_t len = (size_t)number_of(line);
        lua_pushlstring(lua, rest->ptr, len);
        *rest = bytes_from(*rest, len + 2);
    } else {
        int count = (int)number_of(line);
        luaL_checkstack(lua, 4, "too many values");
        lua_createtable(lua, count, 0);
        for (int i = 1; i <= count; i++) {
            push_reply(lua, rest);
            lua_rawseti(lua, -2, i);
        }
    }
}

/* ---- redis.call ---- */

/* Why the arguments are no command; NULL: they are in s->argv. */
static const char *read_args(lua_State *lua, struct scripts *s, int count) {
    if (count == 0)
        return "ERR Please specify at least one argument for this redis lib call";
    if (count > s->argc_room) {
        s->argc_room = count + 16;
        s->argv = mem_realloc(s->argv, (size_t)s->argc_room * sizeof(s->argv[0]));
    }
    for (int i = 0; i < count; i++) {
        if (lua_type(lua, i + 1) == LUA_TNUMBER) {
            char text[64];
            int len = snprintf(text, sizeof(text), "%.17g", lua_tonumber(lua, i + 1));
            lua_pushlstring(lua, text, (size_t)len);
            lua_replace(lua, i + 1);
        }
        if (lua_type(lua, i + 1) != LUA_TSTRING)
            return "ERR Lua redis lib command arguments must be strings or integers";
        s->argv[i].ptr = lua_tolstring(lua, i + 1, &s->argv[i].len);
    }
    return NULL;
}

static const char *why_not(const struct scripts *s, struct call *c) {
    const struct command_row *container;
    c->row = command_find(c->argv, c->argc, &container);
    if (c->row == NULL)
        return "ERR Unknown Redis command called from script";
    if (c->row->flags & NO_SCRIPT)
        return "ERR This Redis command is not allowed from script";
    int arity = c->row->arity;
    if (arity > 0 ? c->argc != arity : c->argc < -arity)
        return "ERR Wrong number of args calling Redis command from script";
    if ((c->row->flags & WRITES) && (s->running->flags & SCRIPT_NO_WRITES))
        return "ERR Write commands are not allowed from read-only scripts.";
    return NULL;
}

/* A script with #! was judged as a whole before it began. One without is judged command by command;
 * what it has begun to write it may end. */
static void run(struct scripts *s, struct call *c) {
    unsigned flags = c->row->flags;
    if (s->running->flags & SCRIPT_ALLOWS_OOM || s->has_written)
        flags &= ~(unsigned)NEEDS_MEMORY;
    if (command_is_refused(c, flags))
        return;
    s->has_written |= (flags & WRITES) != 0;
    c->row->fn(c);
}

static int call_or_pcall(lua_State *lua, bool is_protected) {
    struct scripts *s = script_self(lua);
    int count = lua_gettop(lua);
    struct call c = *s->call;
    const char *why = read_args(lua, s, count);
    buf_clear(&s->reply);
    c.argv = s->argv;
    c.argc = count;
    c.out = &s->reply;
    c.is_script = true;
    if (why == NULL)
        why = why_not(s, &c);
    if (why != NULL) {
        push_error(lua, why, strlen(why));
    } else {
        run(s, &c);
        struct bytes reply = buf_bytes(&s->reply);
        push_reply(lua, &reply);
    }
    bool is_error = why != NULL || s->reply.ptr[0] == '-';
    return is_error && !is_protected ? lua_error(lua) : 1;
}

static int redis_call(lua_State *lua) {
    return call_or_pcall(lua, false);
}

static int redis_pcall(lua_State *lua) {
    return call_or_pcall(lua, true);
}

/* ---- the rest of `redis` ---- */

static int has_one_string(lua_State *lua) {
    return lua_gettop(lua) == 1 && lua_type(lua, 1) == LUA_TSTRING;
}

/* A text of one word has no code, and gets one. A - before it is dropped. */
static int error_reply(lua_State *lua) {
    if (!has_one_string(lua)) {
        push_error(lua, "ERR wrong number or type of arguments", 37);
        return 1;
    }
    const char *text = lua_tostring(lua, 1);
    text += *text == '-';
    if (strchr(text, ' ') == NULL)
        lua_pushfstring(lua, "ERR %s", text);
    else
        lua_pushstring(lua, text);
    size_t len;
    const char *whole = lua_tolstring(lua, -1, &len);
    push_error(lua, whole, len);
    return 1;
}

static int status_reply(lua_State *lua) {
    if (!has_one_string(lua)) {
        push_error(lua, "ERR wrong number or type of arguments", 37);
        return 1;
    }
    lua_newtable(lua);
    lua_pushvalue(lua, 1);
    lua_setfield(lua, -2, "ok");
    return 1;
}

static int sha1hex(lua_State *lua) {
    char hex[SHA_TEXT];
    size_t len;
    if (lua_gettop(lua) != 1) {
        push_error(lua, "ERR wrong number of arguments", 29);
        return lua_error(lua);
    }
    const char *text = lua_tolstring(lua, 1, &len);
    sha1_hex(bytes_of(text != NULL ? text : "", len), hex);
    lua_pushstring(lua, hex);
    return 1;
}

static int nothing(lua_State *lua) {
    lua_pushboolean(lua, 1);
    return 1;
}

void script_push_redis(lua_State *lua) {
    static const luaL_Reg functions[] = {{"call", redis_call},
                                         {"pcall", redis_pcall},
                                         {"error_reply", error_reply},
                                         {"status_reply", status_reply},
                                         {"sha1hex", sha1hex},
                                         {"log", nothing},
                                         {"replicate_commands", nothing},
                                         {NULL, NULL}};
    lua_newtable(lua);
    luaL_register(lua, NULL, functions);
    lua_pushliteral(lua, "7.0.15");
    lua_setfield(lua, -2, "REDIS_VERSION");
    lua_pushinteger(lua, 0x0007000f);
    lua_setfield(lua, -2, "REDIS_VERSION_NUM");
    for (int i = 0; i < 4; i++) {
        static const char *const levels[] = {"LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE",
                                             "LOG_WARNING"};
        lua_pushinteger(lua, i);
        lua_setfield(lua, -2, levels[i]);
    }
}

/* ---- from Lua to a reply ---- */

static bool answer_field(lua_State *lua, struct call *c, const char *name, char kind) {
    lua_pushstring(lua, name);
    lua_rawget(lua, -2);
    bool is_there = lua_type(lua, -1) == LUA_TSTRING;
    if (is_there && kind == '-')
        answer_error(c, "%s", lua_tostring(lua, -1));
    else if (is_there) {
        size_t from = c->out->len;
        answer_status(c, lua_tostring(lua, -1));
        for (size_t i = from; i + 2 < c->out->len; i++)
            if (c->out->ptr[i] == '\r' || c->out->ptr[i] == '\n')
                c->out->ptr[i] = ' ';
    }
    lua_pop(lua, 1);
    return is_there;
}

/* A table ends at its first nil. */
static void answer_table(lua_State *lua, struct call *c) {
    size_t n = 0;
    if (answer_field(lua, c, "err", '-') || answer_field(lua, c, "ok", '+'))
        return;
    for (;; n++) {
        lua_rawgeti(lua, -1, (int)n + 1);
        bool is_end = lua_isnil(lua, -1);
        lua_pop(lua, 1);
        if (is_end)
            break;
    }
    answer_array(c, n);
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(lua, -1, (int)i);
        script_answer(lua, c);
    }
}

void script_answer(lua_State *lua, struct call *c) {
    size_t len;
    const char *text;
    luaL_checkstack(lua, 4, "too deep");
    switch (lua_type(lua, -1)) {
    case LUA_TSTRING:
        text = lua_tolstring(lua, -1, &len);
        answer_bulk(c, bytes_of(text, len));
        break;
    case LUA_TBOOLEAN:
        if (lua_toboolean(lua, -1))
            answer_int(c, 1);
        else
            answer_nil(c);
        break;
    case LUA_TNUMBER: answer_int(c, (int64_t)lua_tonumber(lua, -1)); break;
    case LUA_TTABLE: answer_table(lua, c); break;
    default: answer_nil(c); break;
    }
    lua_pop(lua, 1);
}
