#!/bin/sh
# Publishes a message from a program that is no client, to the HTTP API of an admin listener.
#
#     examples/shell/publish.sh http://127.0.0.1:9090 Room '{"from":"shell","text":"hello"}' [KEY]
#
# It tries until the message is accepted. Since each attempt has the same key, the message is
# published once, however many of them got through. KEY is that key, for a message that has a
# natural one, such as the number of an order. SIGNALBOX_TOKEN is the admin token (`signalbox up`
# keeps it in .signalbox/admin-token).
set -eu
[ $# -ge 3 ] || { echo "usage: $0 URL NAME JSON [KEY]" >&2 && exit 2; }
key=${4:-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')}
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

while :; do
    status=$(curl -s -m 10 -o "$answer" -w '%{http_code}' \
        -H "Authorization: Bearer ${SIGNALBOX_TOKEN:-}" -H "Idempotency-Key: $key" \
        --data-binary "{\"name\":\"$2\",\"data\":$3}" "$1/send" || true)
    case $status in
    202) cat "$answer" && exit ;;
    000 | 429 | 5??) echo "not accepted, trying again: $status $(cat "$answer")" >&2 && sleep 1 ;;
    *) echo "refused: $status $(cat "$answer")" >&2 && exit 1 ;;
    esac
done
