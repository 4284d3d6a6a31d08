#!/bin/sh
# What the containers of the image start with: the fleet's secrets are there before the program is.
#
# SIGNALBOX_ADMIN_TOKEN_FILE and SIGNALBOX_CLUSTER_SECRET_FILE name files on a volume that all containers of the fleet share. The
# token is SIGNALBOX_ADMIN_TOKEN where that is given; else the container that is first makes a random one, and the others take it:
# a hard link never replaces what is there. The cluster's secret is always made.
set -eu
given=${SIGNALBOX_ADMIN_TOKEN:-}
unset SIGNALBOX_ADMIN_TOKEN

# keep FILE TEXT: FILE holds TEXT or, when that is empty, what it held or something random.
keep() {
    [ -n "$1" ] || return 0
    [ -n "$2" ] || [ ! -s "$1" ] || return 0
    umask 077
    fresh=$(mktemp "$1.XXXXXX")
    printf '%s\n' "${2:-$(head -c 32 /dev/urandom | base64 | tr -d '\n')}" >"$fresh"
    if [ -n "$2" ]; then
        mv -f "$fresh" "$1"
    else
        ln "$fresh" "$1" 2>/dev/null || true
        rm -f "$fresh"
    fi
}

keep "${SIGNALBOX_ADMIN_TOKEN_FILE:-}" "$given"
keep "${SIGNALBOX_CLUSTER_SECRET_FILE:-}" ""
exec "$@"
