#!/usr/bin/env bash
# What a reader would trip over: formatting, width, length, loose ends, and names of the machine it was written on.
# The sizes are those of CONTRIBUTING.md.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
status=0

files() { # PATTERN…
    git ls-files --cached --others --exclude-standard -- "$@" | while IFS= read -r file; do
        [ -f "$file" ] && printf '%s\n' "$file"
    done
}

complain() { # TITLE LINES
    [ -n "$2" ] || return 0
    printf '%s\n%s\n' "$1" "$2" | sed '2,$s/^/    /'
    status=1
}

# Other versions of clang-format lay out some things otherwise: the one of Debian 12 decides.
if clang-format --version 2>/dev/null | grep 'version 14\.' >/dev/null; then
    files '*.c' '*.h' | xargs -r clang-format --dry-run -Werror 2>"${TMPDIR:-/tmp}/format.$$" ||
        complain 'not as clang-format lays it out (./dev format)' \
            "$(grep -oE '^[^ :]+:[0-9]+' "${TMPDIR:-/tmp}/format.$$" | head -n 40)"
    rm -f "${TMPDIR:-/tmp}/format.$$"
fi

# Tests hold rows and texts that nothing can break, and so do lists of names.
complain 'wider than 100 columns' \
    "$(files 'common/*.[ch]' 'gateway/*.[ch]' 'broker/*.[ch]' 'tools/*.[ch]' 'examples/*' ':!*/signalbox-client.js' |
        LC_ALL=C.UTF-8 xargs -r grep -nE '^.{101,}' | grep -v '#define [A-Z]*(X)' | cut -c1-120)"
complain 'ends in blanks' \
    "$(files '*.c' '*.h' '*.def' '*.lua' '*.js' '*.sh' '*.py' '*.cmake' '*CMakeLists.txt' dev | xargs -r grep -nE '[ 	]+$' | cut -c1-120)"
complain 'no issue is named beside it' \
    "$(files '*.c' '*.h' '*.py' '*.lua' | xargs -r grep -nE '\b(TODO|FIXME|XXX)\b' | grep -v '#[0-9]')"
complain 'longer than 600 lines' \
    "$(files 'common/*.[ch]' 'gateway/*.[ch]' 'broker/*.[ch]' 'tools/*.[ch]' | xargs -r wc -l | awk '$2 != "total" && $1 > 600')"

# A function begins with a `{` that ends a line in column 1 on, and ends with `}` alone. One that is a flat switch
# says so: /* one switch */ on its first line.
function_lengths() {
    files 'common/*.c' 'gateway/*.c' 'broker/*.c' 'tools/*.c' | xargs -r awk '
        /^[a-zA-Z].*\{$/ && !/^(struct|enum|union|static const|const)[^(]*\{$/ { from = FNR; name = $0 }
        /^}$/ && from { if (FNR - from > 80 && name !~ /one switch/) print FILENAME ":" from ": " FNR - from " lines"; from = 0 }'
}
complain 'functions over 80 lines' "$(function_lengths)"

complain 'names a place of one machine' \
    "$(files | xargs -r grep -nIE '(^|[^[:alnum:]._{}/-])/(work|home|root|Users)/[[:alnum:]]' | cut -c1-160)"
complain 'names the host of a package registry' \
    "$(files | xargs -r grep -nIiE 'deb[.]debian[.]org|registry-1[.]docker|pypi[.]org|registry[.]npmjs|proxy[.]golang' | cut -c1-160)"

exit $status
