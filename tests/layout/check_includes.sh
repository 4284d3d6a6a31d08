#!/usr/bin/env bash
# Who may include whom. The rooms: common/{base < json, http, net < bus < send < app < admin < daemon}, gateway, broker, tools; common knows nothing
# of the others, gateway and broker nothing of each other, and gateway/codec nothing but bytes.
# To open a new room: add its line to may_include.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
status=0

complain() { # TITLE LINES
    [ -n "$2" ] || return 0
    printf '%s\n%s\n' "$1" "$2" | sed '2,$s/^/    /'
    status=1
}

own_includes() { # FOLDER…: FILE:LINE:PATH of every include in quotes
    grep -rnE --include='*.[ch]' '^ *# *include "' "$@" 2>/dev/null | sed -E 's/# *include "([^"]*)".*/\1/'
}

may_include() { # FOLDER PATTERN: what the files of a folder include in quotes must match PATTERN
    [ -d "$1" ] || return 0
    complain "$1 may include only $2" "$(own_includes "$1" | grep -vE "^[^:]+:[0-9]+:($2)")"
}

only_in() { # WHAT PATTERN FOLDERS: lines that match PATTERN stand nowhere else
    complain "$1 belongs to $3" \
        "$(grep -rnE --include='*.[ch]' "$2" common gateway broker tools 2>/dev/null | grep -vE "^($3)")"
}

may_include common/base 'common/base/'
may_include common/http 'common/(base|http)/'
may_include common/net 'common/(base|net)/'
may_include common/json 'common/(base|json)/'
may_include common/bus/redis 'common/(base|net)/|common/bus/redis/|scripts_embedded.def' # made at build time
may_include common/bus/log 'common/(base|net)/|common/bus/(redis|log)/|common/bus/[a-z_]*.h'
may_include common/bus 'common/(base|net|bus)/|scripts_embedded.def'
may_include common/send 'common/(base|json|bus|send)/'
may_include common/app/lua 'common/(base|json)/|common/app/lua/'
may_include common/app/registrations 'common/(base|http|net|send)/|common/app/registrations/'
may_include common/app/running 'common/(base|json|http|send)/|common/app/(lua|registrations|running)/'
may_include common/app/api 'common/(base|json|http|bus|send)/|common/app/(lua|registrations|running|api)/'
may_include common/app 'common/(base|json|http|net|bus|send|app)/'
may_include common/admin 'common/(base|json|http|net|bus|send|app|admin)/'
may_include common 'common/|scripts_embedded.def'
may_include gateway/codec 'common/(base|http)/|gateway/codec/'
may_include gateway/conn 'common/|gateway/(codec|conn)/'
may_include gateway/session 'common/|gateway/(codec|conn|session)/'
may_include gateway/routes 'common/|gateway/(codec|conn|session|routes)/'
may_include gateway/delivery 'common/|gateway/(codec|conn|session|routes|delivery)/'
may_include gateway 'common/|gateway/'
may_include broker/entry 'common/|broker/entry/'
may_include broker/handlers 'common/|broker/(entry|handlers)/'
may_include broker 'common/|broker/'
may_include tools 'common/|tools/'

only_in 'hiredis' '# *include <hiredis' 'common/bus/'
only_in 'what Redis is told and answers' '(common/bus/(bus_send|redis/command|redis/reply|redis/link)\.h|\bredisReply\b|\b(key|channel)_of\(&)' \
    'common/bus/|common/app/lua/json_lua.c|broker/(inbox|entry/conn_queues)\.[ch]|tools/up_run.c' # a reply handed through; waiting for Redis
only_in 'uthash, whose own hash strangers can compute,' '# *include <uthash' 'common/base/table.h'
only_in 'msgpack' '# *include <msgpack' 'common/'
only_in 'a Redis command' \
    '"(XADD|XREAD|XRANGE|XREVRANGE|XTRIM|XLEN|EVALSHA|EVAL|HSET|HGET|HDEL|HSCAN|HGETALL|HLEN|SADD|SREM|SSCAN|SUBSCRIBE|UNSUBSCRIBE)"' \
    'common/bus/|tools/' # the CLI asks Redis what the daemons need not know

# Whoever gets the whole process could touch anything: the floors below get the parts they use.
only_in 'struct gateway' '\bstruct gateway\b' 'gateway/[a-z_]+[.][ch]'
only_in 'struct broker' '\bstruct broker\b' 'broker/[a-z_]+[.][ch]'
# must.c: a bug within a bug; child.c: after fork.
only_in 'exit' '(^|[^a-z_])_?exit\(' 'common/base/must.c|tools/child.c'

complain 'a test links what it tests, and includes none of it' \
    "$(grep -rnE --include='*.c' '# *include "[^"]*[.]c"' tests)"
complain 'the codecs link neither the loop nor TLS' \
    "$(grep -rnE --include='*.[ch]' '# *include <(uv|openssl/ssl|lua|jansson)' gateway/codec common/http 2>/dev/null)"
complain 'a header names another library than it may (uv.h: sockets and loops; lua.h: common/app, lua_*)' \
    "$(grep -rnE --include='*.h' '# *include <(uv|openssl|hiredis|msgpack|jansson|zlib|lua|lauxlib)' \
        common gateway broker tools 2>/dev/null |
        grep -vE '<uv\.h>' | grep -vE '(common/app/.*/|lua_|api_?|app)[a-z_]*\.h:[0-9]+:.*<(lua|lauxlib)')"

exit $status
