/*
 * pattern.c - see pattern.h. A recursive matcher with backtracking, as the manual describes
 * patterns; read pattern_match first. Every character looked at is a step, at which
 * the budget may end it.
 */
#include "common/app/lua/pattern.h"

#include <ctype.h>
#include <string.h>

#include <lauxlib.h>

#include "common/app/lua/budget.h"

enum { DEPTH_MAX = 200 };

void pattern_init(struct pattern *p, lua_State *L, struct bytes text, struct bytes pattern) {
    p->L = L;
    p->text = text.ptr;
    p->text_end = text.ptr + text.len;
    p->end = pattern.ptr + pattern.len;
    p->depth = 0;
    p->budget = budget_of(L);
    p->capture_count = 0;
}

static void step(const struct pattern *p) {
    if (p->budget != NULL && p->budget->wants_look)
        budget_stop_if_over(p->L);
}

/* --- one character --- */

/* After the single-character class at `at`. */
static const char *after_class(struct pattern *p, const char *at) {
    char first = *at++;
    if (first == '%') {
        if (at == p->end)
            luaL_error(p->L, "malformed pattern (ends with '%%')");
        return at + 1;
    }
    if (first != '[')
        return at;
    if (at < p->end && *at == '^')
        at++;
    do {
        step(p);
        if (at == p->end)
            luaL_error(p->L, "malformed pattern (missing ']')");
        if (*at++ == '%') {
            if (at == p->end)
                luaL_error(p->L, "malformed pattern (missing ']')");
            at++;
        }
    } while (at == p->end || *at != ']');
    return at + 1;
}

static bool is_in_named_class(int c, int name) {
    bool is_in;
    switch (tolower(name)) {
    case 'a': is_in = isalpha(c); break;
    case 'c': is_in = iscntrl(c); break;
    case 'd': is_in = isdigit(c); break;
    case 'g': is_in = isgraph(c); break;
    case 'l': is_in = islower(c); break;
    case 'p': is_in = ispunct(c); break;
    case 's': is_in = isspace(c); break;
    case 'u': is_in = isupper(c); break;
    case 'w': is_in = isalnum(c); break;
    case 'x': is_in = isxdigit(c); break;
    case 'z': is_in = c == 0; break;
    default: return name == c;
    }
    return isupper(name) ? !is_in : is_in;
}

/* at: the '['; last: its ']'. */
static bool is_in_set(struct pattern *p, int c, const char *at, const char *last) {
    bool is_positive = at[1] != '^';
    if (!is_positive)
        at++;
    while (++at < last) {
        step(p);
        if (*at == '%') {
            at++;
            if (is_in_named_class(c, (unsigned char)*at))
                return is_positive;
        } else if (at[1] == '-' && at + 2 < last) {
            at += 2;
            if ((unsigned char)at[-2] <= c && c <= (unsigned char)*at)
                return is_positive;
        } else if ((unsigned char)*at == c) {
            return is_positive;
        }
    }
    return !is_positive;
}

/* Whether the class from `at` to `after` takes the character at s. */
static bool takes(struct pattern *p, const char *s, const char *at, const char *after) {
    step(p);
    if (s >= p->text_end)
        return false;
    int c = (unsigned char)*s;
    switch (*at) {
    case '.': return true;
    case '%': return is_in_named_class(c, (unsigned char)at[1]);
    case '[': return is_in_set(p, c, at, after - 1);
    default: return (unsigned char)*at == c;
    }
}

/* --- more than one character --- */

/* %bxy */
static const char *match_balance(struct pattern *p, const char *s, const char *at) {
    int depth = 1;
    if (at + 1 >= p->end)
        luaL_error(p->L, "malformed pattern (missing arguments to '%%b')");
    if (s >= p->text_end || *s != at[0])
        return NULL;
    while (++s < p->text_end) {
        step(p);
        if (*s == at[1]) {
            if (--depth == 0)
                return s + 1;
        } else if (*s == at[0]) {
            depth++;
        }
    }
    return NULL;
}

/* As many as there are, then fewer. */
static const char *match_most(struct pattern *p, const char *s, const char *at, const char *after) {
    ptrdiff_t count = 0;
    while (takes(p, s + count, at, after))
        count++;
    for (; count >= 0; count--) {
        const char *end = pattern_match(p, s + count, after + 1);
        if (end != NULL)
            return end;
    }
    return NULL;
}

/* None, then more. */
static const char *match_fewest(struct pattern *p, const char *s, const char *at,
                                const char *after) {
    for (;;) {
        const char *end = pattern_match(p, s, after + 1);
        if (end != NULL)
            return end;
        if (!takes(p, s, at, after))
            return NULL;
        s++;
    }
}

/* --- captures --- */

static const char *open_capture(struct pattern *p, const char *s, const char *rest, int kind) {
    int i = p->capture_count;
    if (i >= PATTERN_CAPTURES_MAX)
        luaL_error(p->L, "too many captures");
    p->captures[i].at = s;
    p->captures[i].len = kind;
    p->capture_count = i + 1;
    const char *end = pattern_match(p, s, rest);
    if (end == NULL)
        p->capture_count--;
    return end;
}

static const char *close_capture(struct pattern *p, const char *s, const char *rest) {
    int i = p->capture_count - 1;
    while (i >= 0 && p->captures[i].len != CAPTURE_OPEN)
        i--;
    if (i < 0)
        luaL_error(p->L, "invalid pattern capture");
    p->captures[i].len = s - p->captures[i].at;
    const char *end = pattern_match(p, s, rest);
    if (end == NULL)
        p->captures[i].len = CAPTURE_OPEN;
    return end;
}

/* %1 … %9 */
static const char *match_again(struct pattern *p, const char *s, int digit) {
    int i = digit - '1';
    if (i < 0 || i >= p->capture_count || p->captures[i].len == CAPTURE_OPEN)
        luaL_error(p->L, "invalid capture index %%%d", i + 1);
    if (p->captures[i].len < 0)
        return NULL;
    size_t len = (size_t)p->captures[i].len;
    bool is_same = (size_t)(p->text_end - s) >= len && memcmp(p->captures[i].at, s, len) == 0;
    return is_same ? s + len : NULL;
}

/* %f[set]: between a character that is not in the set and one that is. */
static bool is_frontier(struct pattern *p, const char *s, const char *set, const char *after) {
    int before = s == p->text ? 0 : (unsigned char)s[-1];
    int here = s == p->text_end ? 0 : (unsigned char)*s;
    return !is_in_set(p, before, set, after - 1) && is_in_set(p, here, set, after - 1);
}

/* --- the pattern --- */

/* What a '%' that is no class begins; NULL in *rest_out: it is a class after all. */
static const char *match_special(struct pattern *p, const char *s, const char *at,
                                 const char **rest_out) {
    *rest_out = NULL;
    if (at + 1 >= p->end)
        return NULL;
    if (at[1] == 'b') {
        s = match_balance(p, s, at + 2);
        *rest_out = at + 4;
    } else if (at[1] == 'f') {
        const char *set = at + 2;
        if (set >= p->end || *set != '[')
            luaL_error(p->L, "missing '[' after '%%f' in pattern");
        *rest_out = after_class(p, set);
        s = is_frontier(p, s, set, *rest_out) ? s : NULL;
    } else if (isdigit((unsigned char)at[1])) {
        s = match_again(p, s, at[1]);
        *rest_out = at + 2;
    }
    return s;
}

/* A class and what follows it; *s_inout and *at_inout move on when the match simply goes on. */
static bool match_item(struct pattern *p, const char **s_inout, const char **at_inout,
                       const char **end_out) {
    const char *s = *s_inout, *at = *at_inout, *after = after_class(p, at);
    char suffix = after < p->end ? *after : '\0';
    *end_out = NULL;
    if (suffix == '*' || suffix == '-') {
        *end_out = suffix == '*' ? match_most(p, s, at, after) : match_fewest(p, s, at, after);
        return false;
    }
    bool is_taken = takes(p, s, at, after);
    if (suffix == '+') {
        *end_out = is_taken ? match_most(p, s + 1, at, after) : NULL;
        return false;
    }
    if (suffix == '?') {
        if (is_taken && (*end_out = pattern_match(p, s + 1, after + 1)) != NULL)
            return false;
        *at_inout = after + 1;
        return true;
    }
    *s_inout = s + 1;
    *at_inout = after;
    return is_taken;
}

static const char *match_on(struct pattern *p, const char *s, const char *at) {
    const char *rest, *end;
    while (at != p->end) {
        step(p);
        if (*at == '(' && at + 1 < p->end && at[1] == ')')
            return open_capture(p, s, at + 2, CAPTURE_POSITION);
        if (*at == '(')
            return open_capture(p, s, at + 1, CAPTURE_OPEN);
        if (*at == ')')
            return close_capture(p, s, at + 1);
        if (*at == '$' && at + 1 == p->end)
            return s == p->text_end ? s : NULL;
        if (*at == '%') {
            const char *now = match_special(p, s, at, &rest);
            if (rest != NULL && now == NULL)
                return NULL;
            if (rest != NULL) {
                s = now;
                at = rest;
                continue;
            }
        }
        if (!match_item(p, &s, &at, &end))
            return end;
    }
    return s;
}

const char *pattern_match(struct pattern *p, const char *s, const char *from) {
    step(p);
    if (p->depth++ >= DEPTH_MAX)
        luaL_error(p->L, "pattern too complex");
    const char *end = match_on(p, s, from);
    p->depth--;
    return end;
}
