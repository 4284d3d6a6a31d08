#!/bin/sh
# What the containers of the image start with: the fleet's admin token is there before the program is.
#
# SIGNALBOX_ADMIN_TOKEN_FILE names a file on a volume that all containers of the fleet share. The token is
# SIGNALBOX_ADMIN_TOKEN where that is given; else the container that is first makes a random one, and the
# others take it: a hard link never replaces what is there.
set -eu
file=${SIGNALBOX_ADMIN_TOKEN_FILE:-}
given=${SIGNALBOX_ADMIN_TOKEN:-}
unset SIGNALBOX_ADMIN_TOKEN
if [ -n "$file" ] && { [ -n "$given" ] || [ ! -s "$file" ]; }; then
    umask 077
    fresh=$(mktemp "$file.XXXXXX")
    printf '%s\n' "${given:-$(head -c 32 /dev/urandom | base64 | tr -d '\n')}" >"$fresh"
    if [ -n "$given" ]; then
        mv -f "$fresh" "$file"
    else
        ln "$fresh" "$file" 2>/dev/null || true
        rm -f "$fresh"
    fi
fi
exec "$@"
