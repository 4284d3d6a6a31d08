#!/bin/sh
# The room of examples/events in a terminal: prints what is said there, and says each line of its
# input.
#
#     examples/shell/room.sh [http://localhost:8091/room]
#
# It listens to an event stream of signalbox.v1 frames, and speaks by POST, both with curl. Whatever
# connection is lost, what comes is printed once and in order, because it resumes behind the last
# message that it saw; and each line is published once, because a line that was not answered is
# posted again under the same Idempotency-Key.
set -eu
url=${1:-http://localhost:8091/room}
state=$(mktemp -d) # hello: the frame of the latest connection; position: the latest id

field() { # JSON NAME: the first string or number of that name
    rest=${1#*\""$2"\":}
    [ "$rest" != "$1" ] || return 0
    case $rest in
    \"*) rest=${rest#\"} && printf '%s' "${rest%%\"*}" ;;
    *) printf '%s' "${rest%%[,\}]*}" ;;
    esac
}

on_frame() { # JSON
    case $1 in
    '{"type":"hello"'*)
        [ "$(field "$1" recovered)" != false ] || echo '(messages are missing here)'
        # Once recovered, what was missed follows, and the position moves with it.
        [ "$(field "$1" recovered)" = true ] || field "$1" id >"$state/position"
        printf '%s\n' "$1" >"$state/hello.new"
        mv "$state/hello.new" "$state/hello"
        ;;
    '{"type":"message"'*)
        field "$1" id >"$state/position"
        data=${1#*\"data\":}
        printf '%s\n' "${data%\}}"
        ;;
    '{"type":"position"'*) field "$1" id >"$state/position" ;;
    '{"type":"closed"'*) field "$1" retryMs >"$state/retry" ;;
    esac
}

listen() { # until the server does not want us back
    until [ -f "$state/retry" ] && [ ! -s "$state/retry" ]; do
        rm -f "$state/retry"
        query="signalbox=v1"
        if [ -f "$state/hello" ]; then
            token=$(field "$(cat "$state/hello")" resume)
            query="$query&signalbox-resume=$token~$(cat "$state/position")"
        fi
        # Something comes every 15 seconds: a longer silence is a dead connection.
        curl -sN --speed-limit 1 --speed-time 45 -H 'Accept: text/event-stream' "$url?$query" \
            >"$state/stream" &
        echo $! >"$state/curl"
        while IFS= read -r line; do
            case $line in data:*) on_frame "${line#data: }" ;; esac
        done <"$state/stream"
        sleep 1
    done
}

post() { # BODY KEY: the status
    hello=$(cat "$state/hello")
    curl -s -m 15 -o "$state/answer" -w '%{http_code}' \
        -H "X-PODE-SIGNAL-CLIENT-ID: $(field "$hello" clientId)" \
        -H "X-PODE-SIGNAL-NAME: $(field "$hello" name)" \
        -H "Idempotency-Key: \"$2\"" --data-binary "$1" "$url" || true
}

say() { # TEXT: until there is an answer, but not for longer than the server remembers the key
    body="{\"message\":\"$(printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g; s/\t/\\t/g')\"}"
    key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    until [ -s "$state/hello" ]; do sleep 0.1; done
    until=$(($(date +%s) + $(field "$(cat "$state/hello")" idSeconds)))
    while :; do
        status=$(post "$body" "$key")
        case $status in
        202) return ;;
        000 | 404 | 409 | 429 | 503 | 504) ;; # no answer, not connected, busy: again
        *) echo "(refused: $status $(cat "$state/answer"))" >&2 && return ;;
        esac
        if [ "$(date +%s)" -ge "$until" ]; then
            echo "(nobody knows whether this was said: $1)" >&2
            return
        fi
        sleep 1
    done
}

mkfifo "$state/stream"
listen &
trap 'kill $! $(cat "$state/curl") 2>/dev/null; rm -rf "$state"' EXIT
trap exit INT TERM
while IFS= read -r line; do say "$line"; done
wait
