#!/usr/bin/env bash
# Every header compiles alone, and twice in one file.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

FLAGS=$(pkg-config --cflags libuv openssl hiredis lua5.4 jansson zlib)
FLAGS+=" $(pkg-config --cflags msgpack-c 2>/dev/null || pkg-config --cflags msgpack)"
export FLAGS

check() {
    # shellcheck disable=SC2086
    printf '#include "%s"\n#include "%s"\n' "$1" "$1" |
        ${CC:-cc} -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wstrict-prototypes -Werror -I. $FLAGS -fsyntax-only -x c - ||
        { echo "$1 does not compile alone"; return 1; }
}
export -f check

find common gateway broker tools -name '*.h' -print0 | sort -z |
    xargs -0 -r -n 1 -P "$(nproc)" bash -c 'check "$0"'
