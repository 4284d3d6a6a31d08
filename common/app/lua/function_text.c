/*
 * function_text.c - see function_text.h. Read function_text_write first: a scan of the chunk finds
 * the functions that begin and end on the right lines (find), and the first of them that compiles
 * to the same code is taken (is_same).
 */
#include "common/app/lua/function_text.h"

#include <string.h>

#include <lauxlib.h>

#include "common/app/lua/budget.h"
#include "common/app/lua/stack.h"

enum { DEPTH = 256 /* Lua nests less */, CANDIDATES = 64 };

/* --- the texts of chunks --- */

static char files_key, loaded_key;

/* Pushes the table, which is made when it is asked for the first time. */
static void push_table(lua_State *L, const char *key) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

/* The texts that scripts loaded under a name are all forgotten when there are too many. */
static void make_room(lua_State *L, size_t len) {
    size_t kept = 0;
    push_table(L, &loaded_key);
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
        kept += lua_rawlen(L, -1);
    lua_pop(L, 1);
    if (kept + len <= CHUNK_TEXTS_MAX)
        return;
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loaded_key);
}

void function_text_keep(lua_State *L, const char *name, struct bytes text, bool is_file) {
    if (bytes_equal_str(text, name))
        return;
    if (!is_file)
        make_room(L, text.len);
    push_table(L, is_file ? &files_key : &loaded_key);
    stack_push_bytes(L, text);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* Pushes the text of the chunk of this name, or else the name, which is then the text. */
static struct bytes push_chunk(lua_State *L, const char *source) {
    const char *const keys[] = {&files_key, &loaded_key};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        push_table(L, keys[i]);
        int type = lua_getfield(L, -1, source);
        lua_remove(L, -2);
        if (type == LUA_TSTRING)
            return stack_bytes_at(L, -1);
        lua_pop(L, 1);
    }
    lua_pushstring(L, source);
    return stack_bytes_at(L, -1);
}

/* --- scanning a chunk that compiles --- */

struct scan {
    const char *at, *end;
    int line;
};

/* A line end of two different characters is one. */
static void advance(struct scan *s) {
    char c = *s->at++;
    if (c != '\n' && c != '\r')
        return;
    s->line++;
    if (s->at < s->end && (*s->at == '\n' || *s->at == '\r') && *s->at != c)
        s->at++;
}

static bool is_next(const struct scan *s, const char *text) {
    size_t len = strlen(text);
    return (size_t)(s->end - s->at) >= len && memcmp(s->at, text, len) == 0;
}

/* Skips [[…]], [=[…]=] … ; false, and nothing is skipped, when none begins here. */
static bool skip_long(struct scan *s) {
    struct bytes rest = bytes_of(s->at, (size_t)(s->end - s->at));
    size_t level = 1;
    while (level < rest.len && rest.ptr[level] == '=')
        level++;
    if (rest.len == 0 || rest.ptr[0] != '[' || level >= rest.len || rest.ptr[level] != '[')
        return false;
    for (s->at += level + 1; s->at < s->end; advance(s)) {
        struct bytes here = bytes_of(s->at, (size_t)(s->end - s->at));
        if (here.ptr[0] != ']' || here.len <= level || here.ptr[level] != ']' ||
            memcmp(here.ptr + 1, rest.ptr + 1, level - 1) != 0)
            continue;
        s->at += level + 1;
        break;
    }
    return true;
}

static void skip_string(struct scan *s) {
    char quote = *s->at++;
    while (s->at < s->end && *s->at != quote) {
        if (*s->at == '\\' && s->at + 1 < s->end)
            s->at++;
        advance(s);
    }
    if (s->at < s->end)
        s->at++;
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static void skip_blanks(struct scan *s) {
    while (s->at < s->end) {
        if (is_next(s, "--")) {
            s->at += 2;
            if (!skip_long(s))
                while (s->at < s->end && *s->at != '\n' && *s->at != '\r')
                    s->at++;
        } else if (strchr(" \t\v\f\r\n", *s->at) != NULL && *s->at != '\0') {
            advance(s);
        } else {
            return;
        }
    }
}

/* The next word, number, string or character; empty at the end. */
static struct bytes next(struct scan *s) {
    skip_blanks(s);
    const char *begin = s->at;
    if (s->at == s->end)
        return BYTES_NONE;
    if (is_word(*s->at))
        while (s->at < s->end && (is_word(*s->at) || (*s->at == '.' && *begin <= '9')))
            s->at++;
    else if (*s->at == '"' || *s->at == '\'')
        skip_string(s);
    else if (!skip_long(s))
        s->at++;
    return bytes_of(begin, (size_t)(s->at - begin));
}

/* --- the functions of a chunk --- */

struct candidate {
    bool is_function, is_method;
    int line; /* of its parenthesis */
    int keyword_line;
    const char *begin; /* behind the parenthesis */
};

static void open_function(struct scan *s, struct candidate *c) {
    struct bytes token;
    *c = (struct candidate){.is_function = true, .keyword_line = s->line};
    while ((token = next(s)).len > 0 && !bytes_equal_str(token, "("))
        c->is_method |= bytes_equal_str(token, ":");
    c->line = s->line;
    c->begin = s->at;
}

static bool is_one_of(struct bytes token, const char *const *words) {
    for (; *words != NULL; words++)
        if (bytes_equal_str(token, *words))
            return true;
    return false;
}

struct search {
    lua_State *L;
    int function;
    struct buf code; /* its dump */
    lua_Debug about;
    unsigned tried;
    struct buf consts; /* the constants that stand before the function */
    struct buf *out;
};

/* `local NAME <const> = LITERAL`: the compiler puts such a constant into the code, so that it is no
 * upvalue. s stands behind `local`. */
static void note_constant(struct scan s, struct buf *consts) {
    struct buf text = {0};
    static const char *const want[] = {NULL, "<", "const", ">", "="};
    bool is_fine = true;
    buf_append_str(&text, " local");
    for (size_t i = 0; is_fine && i < ARRAY_LEN(want); i++) {
        struct bytes token = next(&s);
        is_fine = token.len > 0 && (want[i] == NULL || bytes_equal_str(token, want[i]));
        buf_append_char(&text, ' ');
        buf_append(&text, token);
    }
    struct bytes value = is_fine ? next(&s) : BYTES_NONE;
    bool is_negative = bytes_equal_str(value, "-");
    if (is_negative)
        value = next(&s);
    is_fine = value.len > 0 && (is_word(value.ptr[0]) || strchr("\"'[", value.ptr[0]) != NULL) &&
              bytes_find(value, '\n') < 0 && bytes_find(value, '\r') < 0;
    if (is_fine) {
        buf_append(consts, buf_bytes(&text));
        buf_append_str(consts, is_negative ? " -" : " ");
        buf_append(consts, value);
    }
    buf_deinit(&text);
}

/* --- is it the same function? --- */

static int add_piece(lua_State *L, const void *piece, size_t len, void *ctx) {
    (void)L;
    buf_append(ctx, bytes_of(piece, len));
    return 0;
}

/* A number of Lua's dump: seven bits a byte, the last byte is marked. */
static size_t take_number(struct bytes *dump) {
    size_t number = 0;
    while (dump->len > 0) {
        unsigned char byte = (unsigned char)dump->ptr[0];
        *dump = bytes_from(*dump, 1);
        number = number << 7 | (byte & 0x7f);
        if (byte & 0x80)
            break;
    }
    return number;
}

static void skip_constant(struct bytes *dump) {
    enum { FLOAT = 19, INTEGER = 3, SHORT = 4, LONG = 20 };
    int type = dump->len > 0 ? dump->ptr[0] : 0;
    *dump = bytes_from(*dump, 1);
    if (type == FLOAT)
        *dump = bytes_from(*dump, sizeof(lua_Number));
    else if (type == INTEGER)
        *dump = bytes_from(*dump, sizeof(lua_Integer));
    if (type != SHORT && type != LONG)
        return;
    size_t size = take_number(dump);
    *dump = bytes_from(*dump, size - 1);
}

/* The dump of the function on the top, without what it says of the place in which it stands: where
 * the surroundings keep its upvalues. False: another Lua writes it differently. */
static bool dump(lua_State *L, struct buf *out) {
    enum {
        HEADER = 15 + sizeof(lua_Integer) + sizeof(lua_Number) + 1,
        INSTRUCTION = 4,
        DETAIL = 3
    };
    if (lua_dump(L, add_piece, out, 1) != 0)
        return false;
    struct bytes rest = bytes_from(buf_bytes(out), HEADER);
    take_number(&rest); /* no source */
    take_number(&rest); /* the lines */
    take_number(&rest);
    rest = bytes_from(rest, 3);
    size_t count = take_number(&rest);
    rest = bytes_from(rest, count * INSTRUCTION);
    for (count = take_number(&rest); count > 0 && rest.len > 0; count--)
        skip_constant(&rest);
    count = take_number(&rest) * DETAIL;
    if (rest.len == 0 || count > rest.len)
        return false;
    memset(out->ptr + (rest.ptr - out->ptr), 0, count);
    return true;
}

/* Whether the text makes the function. */
static bool is_same(const struct search *s, struct bytes text) {
    struct buf code = {0};
    lua_State *L = s->L;
    int top = lua_gettop(L);
    struct buf padded = {0};
    for (int i = 1; i < s->about.linedefined; i++)
        buf_append_char(&padded, '\n');
    buf_append(&padded, text);
    bool is_fine = budget_load(L, buf_bytes(&padded), "=rule") == LUA_OK;
    if (is_fine && s->about.linedefined > 0)
        is_fine = lua_pcall(L, 0, 1, 0) == LUA_OK && lua_isfunction(L, -1);
    is_fine = is_fine && dump(L, &code) && bytes_equal(buf_bytes(&code), buf_bytes(&s->code));
    lua_settop(L, top);
    buf_deinit(&padded);
    buf_deinit(&code);
    return is_fine;
}

/* --- writing --- */

static void write_text(const struct search *s, const struct candidate *c, const char *end,
                       bool has_constants) {
    const char *name;
    struct bytes body = bytes_of(c->begin, (size_t)(end - c->begin));
    struct scan first = {c->begin, end, 0};
    for (int i = 1; (name = lua_getupvalue(s->L, s->function, i)) != NULL; i++) {
        buf_append_str(s->out, i == 1 ? "local " : ",");
        buf_append_str(s->out, name);
        lua_pop(s->L, 1);
    }
    if (has_constants)
        buf_append(s->out, buf_bytes(&s->consts));
    buf_append_str(s->out, s->out->len > 0 ? " return function(" : "return function(");
    if (c->is_method)
        buf_append_str(s->out, bytes_equal_str(next(&first), ")") ? "self" : "self,");
    buf_append(s->out, body);
}

/* A function that ends here: whether it is the one that is looked for. */
static bool try_one(struct search *s, const struct candidate *c, const char *end) {
    int ways = s->consts.len > 0 ? 2 : 1;
    for (int way = 0; way < ways; way++) {
        buf_clear(s->out);
        write_text(s, c, end, way == 1);
        if (is_same(s, buf_bytes(s->out)))
            return true;
    }
    buf_clear(s->out);
    return false;
}

static bool find(struct search *s, struct bytes chunk) {
    static const char *const opening[] = {"do", "if", "repeat", NULL};
    static const char *const closing[] = {"end", "until", NULL};
    struct candidate open[DEPTH];
    size_t depth = 0;
    struct scan scan = {chunk.ptr, chunk.ptr + chunk.len, 1};
    struct bytes token;
    while ((token = next(&scan)).len > 0 && depth < DEPTH && s->tried < CANDIDATES &&
           !budget_is_over(s->L)) {
        if (bytes_equal_str(token, "function"))
            open_function(&scan, &open[depth++]);
        else if (is_one_of(token, opening))
            open[depth++] = (struct candidate){.is_function = false};
        else if (bytes_equal_str(token, "local"))
            note_constant(scan, &s->consts);
        if (!is_one_of(token, closing) || depth == 0)
            continue;
        const struct candidate *c = &open[--depth];
        if (!c->is_function || c->line != s->about.linedefined ||
            scan.line != s->about.lastlinedefined)
            continue;
        s->tried++;
        if (try_one(s, c, scan.at))
            return true;
    }
    return false;
}

static void explain(const struct search *s, struct buf *error_out) {
    if (s->out->len > 0)
        buf_append_str(error_out, "may have 1 MiB of text, with the lines before it");
    else if (*s->about.what == 'C')
        buf_append_str(error_out, "must be a function of Lua");
    else
        buf_printf(error_out,
                   "goes to every process as text, and the text of this one is not known (%s:%d): "
                   "write it on lines of its own, and outer constants as "
                   "`local NAME <const> = VALUE`",
                   s->about.short_src, s->about.linedefined);
}

/* (function, the search) */
static int take_text(lua_State *L) {
    struct search *s = lua_touserdata(L, 2);
    lua_pushvalue(L, s->function);
    if (*s->about.what == 'C' || !dump(L, &s->code))
        return 0;
    struct bytes chunk = push_chunk(L, s->about.source);
    bool is_whole = *s->about.what == 'm';
    if (is_whole && is_same(s, chunk))
        buf_append(s->out, chunk);
    else if (!is_whole)
        (void)find(s, chunk);
    return 0;
}

bool function_text_write(lua_State *L, int function, struct buf *out, int *line_out,
                         struct buf *error_out) {
    struct buf text = {0};
    struct search s = {.L = L, .function = 1, .out = &text};
    lua_pushvalue(L, function);
    lua_getinfo(L, ">S", &s.about);
    *line_out = s.about.linedefined;
    function = lua_absindex(L, function);
    lua_pushcfunction(L, take_text);
    lua_pushvalue(L, function);
    lua_pushlightuserdata(L, &s);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK)
        lua_pop(L, 1);
    bool is_fine = text.len > 0 && text.len + (size_t)s.about.linedefined <= FUNCTION_TEXT_MAX;
    if (is_fine)
        buf_append(out, buf_bytes(&text));
    else
        explain(&s, error_out);
    buf_deinit(&text);
    buf_deinit(&s.consts);
    buf_deinit(&s.code);
    return is_fine;
}

/* --- building --- */

void function_text_build(lua_State *L, struct bytes text, int line, struct bytes chunk) {
    bool has_name = chunk.len > 1 && strchr("@=", chunk.ptr[0]) != NULL;
    if (line < 0 || text.len > FUNCTION_TEXT_MAX || (size_t)line > FUNCTION_TEXT_MAX - text.len)
        luaL_error(L, "a function may have 1 MiB of text");
    luaL_Buffer all;
    luaL_buffinit(L, &all);
    for (int i = 1; i < line; i++)
        luaL_addchar(&all, '\n');
    luaL_addlstring(&all, text.ptr == NULL ? "" : text.ptr, text.len);
    luaL_pushresult(&all);
    stack_push_bytes(L, chunk);
    struct bytes padded = stack_bytes_at(L, -2);
    const char *name = has_name ? lua_tostring(L, -1) : padded.ptr;
    if (budget_load(L, padded, name) != LUA_OK)
        lua_error(L);
    if (line > 0)
        lua_call(L, 0, 1);
    if (!lua_isfunction(L, -1) || lua_iscfunction(L, -1))
        luaL_error(L, "it is no function");
    lua_replace(L, -3);
    lua_pop(L, 1);
}
