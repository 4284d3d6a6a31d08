/*
 * scripts.h - the Lua scripts that run inside Redis, embedded at build time from scripts/NAME.lua.
 * To add a script: a file there, its name here and in CMakeLists.txt.
 */
#ifndef SIGNALBOX_BUS_REDIS_SCRIPTS_H
#define SIGNALBOX_BUS_REDIS_SCRIPTS_H

#include "common/base/bytes.h"

/* clang-format off */
#define SCRIPTS(X) X(in) X(in_once) X(own) X(renew) X(release) X(try) X(out) X(last) X(peek) X(conn) X(disc) X(hb) X(bury) X(entomb) \
    X(floor) X(aside) X(aside_list) X(back) X(lock) X(relock) X(tick) X(way) X(unlock)
/* clang-format on */

enum script {
#define X(name) SCRIPT_##name,
    SCRIPTS(X)
#undef X
        SCRIPT_COUNT
};

struct bytes script_text(enum script s);
/* The 40 lower-case hexadecimal digits that EVALSHA wants. */
const char *script_sha(enum script s);
const char *script_name(enum script s);

#endif
