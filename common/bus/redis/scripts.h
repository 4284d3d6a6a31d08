/*
 * scripts.h - the Lua scripts that run inside Redis, embedded at build time from scripts/NAME.lua.
 * To add a script: a file there, its name here and in CMakeLists.txt.
 */
#ifndef SIGNALBOX_BUS_REDIS_SCRIPTS_H
#define SIGNALBOX_BUS_REDIS_SCRIPTS_H

#include "common/base/bytes.h"

/* clang-format off */
#define SCRIPTS(X) \
    X(append) X(append_once) X(forward) X(take_partition) X(renew_lease) X(release_lease) \
    X(count_try) X(find_answers) X(commit) X(measure_log) X(peek_entry) X(register) \
    X(unregister) X(heartbeat) X(declare_dead) X(fence_gateway) X(raise_floor) X(defer) \
    X(list_deferred) X(requeue) X(lock) X(renew_lock) X(append_tick) X(restart_stream) \
    X(probe_write) X(unlock)
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
