#!/usr/bin/env bash
# Brings the compose file up for real: builds it, waits until it is healthy, scales it, publishes from Redis to
# WebSocket clients behind HAProxy, kills a gateway under them, and takes all of it down again.
#
#   tests/deploy/run.sh [--private] [--keep]
#
# It uses the machine's container engine where one answers, else (or with --private) one of its own: engine.sh.
# --keep leaves the fleet up until Enter is pressed. Needs python3-websockets.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

WORK=${SIGNALBOX_DEPLOY_WORK:-$PWD/build/deploy}
STANDINS=tests/deploy/standins
PRIVATE=0 KEEP=0
for argument in "$@"; do
    case "$argument" in
    --private) PRIVATE=1 ;;
    --keep) KEEP=1 ;;
    *) echo "run.sh takes --private and --keep, not '$argument'" >&2; exit 2 ;;
    esac
done

compose() { docker compose -p signalbox-test -f deploy/docker-compose.yml "$@"; }
step() { printf '== %s (%d s)\n' "$*" "$SECONDS"; }

has_engine() { docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; }

finish() {
    local status=$?
    trap - EXIT INT TERM
    if [ "$status" != 0 ] && [ -n "${IS_UP:-}" ]; then
        compose ps -a
        compose logs --no-color --tail 40
    fi
    [ -n "${IS_UP:-}" ] && compose down -v --timeout 20 >"$WORK/down.log" 2>&1
    if declare -F engine_down >/dev/null; then
        engine_down
    fi
    [ "$status" = 0 ] && echo "the fleet came up, delivered, lost a gateway and went down: $SECONDS s"
    exit "$status"
}

fail() { echo "deploy: $*" >&2; exit 1; }

mkdir -p "$WORK"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

pull=missing
if [ $PRIVATE = 1 ] || ! has_engine; then
    step "a private container engine"
    # shellcheck source=tests/deploy/engine.sh
    . tests/deploy/engine.sh
    engine_up || fail "no container engine"
    pull=never
fi

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
SIGNALBOX_PORT=$(free_port)
SIGNALBOX_API_PORT=$(free_port)
unset SIGNALBOX_SECRETS # a volume
# More than this is refused where the engine itself runs with few.
SIGNALBOX_NOFILE=16384
export SIGNALBOX_PORT SIGNALBOX_API_PORT SIGNALBOX_NOFILE

step "building the image"
compose build >"$WORK/build.log" 2>&1 || { tail -n 60 "$WORK/build.log"; fail "the image does not build"; }

step "up"
IS_UP=1
compose up -d --wait --wait-timeout 120 --pull "$pull" >"$WORK/up.log" 2>&1 || { tail -n 20 "$WORK/up.log"; fail "not healthy"; }

step "three gateways"
compose up -d --wait --wait-timeout 120 --pull "$pull" --no-recreate --scale gateway=3 >"$WORK/up.log" 2>&1 ||
    { tail -n 20 "$WORK/up.log"; fail "not healthy with three gateways"; }
compose ps --format '{{.Name}} {{.Status}}'

step "clients, messages, a gateway killed"
export -f compose
declare -F docker >/dev/null && export -f docker
/usr/bin/python3 tests/deploy/check_fleet.py "ws://127.0.0.1:$SIGNALBOX_PORT/msg" \
    "http://127.0.0.1:$SIGNALBOX_API_PORT" || fail "the fleet does not deliver"

if [ $KEEP = 1 ]; then
    printf 'http://127.0.0.1:%s is up; press Enter to take it down ' "$SIGNALBOX_PORT"
    read -r _
fi
step "down"
