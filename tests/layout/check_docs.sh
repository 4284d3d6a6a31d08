#!/usr/bin/env bash
# The tables in docs/ are printed by the code that they describe. Without arguments: are they up to date?
# With --write (./dev docs): write them anew.
#
# In a page:  <!-- generated: settings -->  …  <!-- end -->      settings, metrics, close-codes or keys
# To add a table: a line in print_tables below.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

cat >"$work/print_tables.c" <<'C'
#include <stdio.h>
#include <string.h>
#include "common/base/metrics.h"
#include "common/base/settings.h"
#include "common/base/close_reason.h"

static void keys_print_markdown(void) {
    puts("| key | type | ends | written by, and what it holds |\n|---|---|---|---|");
#define KEY_OF_PARTITION(name, text, tail, type, ends, access, content) puts("| `K " text tail "` | " type " | " ends " | " content " |");
#define CHANNEL_OF_PARTITION(name, text, tail, access, content) puts("| `K " text tail "` | channel | | " content " |");
#define KEY(name, text, tail, type, ends, access, content) puts("| `" text tail "` | " type " | " ends " | " content " |");
#define CHANNEL(name, text, tail, access, content) puts("| `" text tail "` | channel | | " content " |");
#include "common/bus/keys.def"
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "settings") == 0) settings_print_markdown(stdout);
    else if (argc == 2 && strcmp(argv[1], "metrics") == 0) metrics_print_markdown(stdout);
    else if (argc == 2 && strcmp(argv[1], "close-codes") == 0) close_reason_print_markdown(stdout);
    else if (argc == 2 && strcmp(argv[1], "keys") == 0) keys_print_markdown();
    else return 2;
    return 0;
}
C
# shellcheck disable=SC2046
${CC:-cc} -std=c11 -D_GNU_SOURCE -I. -o "$work/print_tables" "$work/print_tables.c" common/base/*.c \
    $(pkg-config --cflags --libs libcrypto) || exit 1

python3 - "$work/print_tables" "${1:-}" docs/*.md <<'PYTHON'
import pathlib, re, subprocess, sys

program, mode, *pages = sys.argv[1:]
block = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.S)
stale = []
for page in map(pathlib.Path, pages):
    old = page.read_text()
    new = block.sub(lambda m: m[1] + subprocess.run([program, m[2]], check=True, capture_output=True, text=True).stdout + m[3], old)
    if new != old:
        stale.append(str(page))
        if mode == "--write":
            page.write_text(new)
if stale and mode != "--write":
    sys.exit("tables are out of date (./dev docs): " + ", ".join(stale))
PYTHON
