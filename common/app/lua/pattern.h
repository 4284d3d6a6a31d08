/*
 * pattern.h - matching by Lua's patterns (manual section 6.4.1), with a budget: a pattern like
 * ".-.-.-x" takes a time that grows with a power of the text, inside one C call.
 */
#ifndef SIGNALBOX_APP_LUA_PATTERN_H
#define SIGNALBOX_APP_LUA_PATTERN_H

#include <stddef.h>

#include "common/base/bytes.h"

struct budget;
struct lua_State;

enum { PATTERN_CAPTURES_MAX = 32, CAPTURE_OPEN = -1, CAPTURE_POSITION = -2 };

struct pattern {
    struct lua_State *L; /* where errors are raised */
    const struct budget *budget;
    const char *text, *text_end;
    const char *end; /* of the pattern */
    int depth;
    int capture_count;
    struct {
        const char *at;
        ptrdiff_t len; /* or CAPTURE_… */
    } captures[PATTERN_CAPTURES_MAX];
};

void pattern_init(struct pattern *p, struct lua_State *L, struct bytes text, struct bytes pattern);
/* Where the match ends that begins at `s`, or NULL. `from`: the pattern, without its '^'. */
const char *pattern_match(struct pattern *p, const char *s, const char *from);

#endif
