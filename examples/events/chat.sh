#!/bin/sh
# The room of this example in a terminal: what is said there, and each line that you write.
#
#     examples/events/chat.sh [http://localhost:8091/room]
set -eu
url=${1:-http://localhost:8091/room}
hello=$(mktemp)

# Listens: the hello tells who we are, every other data is a message.
curl -sN -H 'Accept: text/event-stream' "$url" | while IFS= read -r line; do
    case $line in
    event:\ *) event=${line#event: } ;;
    data:\ *)
        [ "${event:-}" = hello ] && printf '%s\n' "${line#data: }" >"$hello"
        [ -z "${event:-}" ] && printf '%s\n' "${line#data: }"
        ;;
    '') event= ;;
    esac
done &
trap 'kill $! 2>/dev/null; rm -f "$hello"' EXIT

until [ -s "$hello" ]; do sleep 0.1; done
id=$(sed 's/.*"clientId":"\([^"]*\)".*/\1/' "$hello")

# Speaks.
while IFS= read -r line; do
    text=$(printf '%s' "$line" | sed 's/\\/\\\\/g; s/"/\\"/g')
    curl -s -o /dev/null -H "X-PODE-SIGNAL-CLIENT-ID: $id" -H 'X-PODE-SIGNAL-NAME: Room' \
        -d "{\"message\":\"$text\"}" "$url"
done
sleep 0.2 # what we said last comes back
