# shellcheck shell=bash
# A container engine of our own, for machines that have none and reach no image registry: Debian 13's docker
# packages, a dockerd whose data, socket and pid file all lie in $WORK, base images made with mmdebstrap, and
# stand-ins for the redis and haproxy images built from Debian's packages. Sourced by run.sh; read engine_up first.
# Needs root on Debian 12 or 13. Leaves behind: the installed packages and, for the next run, $WORK.

ENGINE_PACKAGES="docker.io docker-cli containerd docker-compose docker-buildx"
HOST_PACKAGES="iptables mmdebstrap ca-certificates curl"
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

engine_up() {
    [ "$(id -u)" = 0 ] || { echo "deploy: a private container engine needs root" >&2; return 1; }
    mkdir -p "$WORK/apt/lists/partial" "$WORK/apt/cache/archives/partial"
    engine_install && engine_start && images_make
}

engine_down() {
    [ -n "${ENGINE_PID:-}" ] || return 0
    kill "$ENGINE_PID" 2>/dev/null
    wait "$ENGINE_PID" 2>/dev/null
    # A dockerd that had to be killed leaves its containerd and the containers' shims behind.
    [ -s "$WORK/run/containerd/containerd.pid" ] && kill "$(cat "$WORK/run/containerd/containerd.pid")" 2>/dev/null
    [ -e "$WORK/docker0.before" ] || ip link delete docker0 2>/dev/null
    restore_rules iptables
    restore_rules ip6tables
    cat "$WORK/ip_forward.before" >/proc/sys/net/ipv4/ip_forward
    ENGINE_PID=
}

# The packet filter as it was; a table that did not exist before is emptied.
restore_rules() { # iptables|ip6tables
    local before=$WORK/$1.before
    {
        cat "$before"
        grep -q '^\*filter' "$before" || printf '%s\n' '*filter' ':INPUT ACCEPT' ':FORWARD ACCEPT' ':OUTPUT ACCEPT' COMMIT
        grep -q '^\*nat' "$before" ||
            printf '%s\n' '*nat' ':PREROUTING ACCEPT' ':INPUT ACCEPT' ':OUTPUT ACCEPT' ':POSTROUTING ACCEPT' COMMIT
    } | "$1-restore"
}

# ---- packages -------------------------------------------------------------------------------------------

host_codename() { . /etc/os-release && echo "$VERSION_CODENAME"; }

# The mirror is the one that the machine's own package lists came from.
mirror_of() { # main|security
    local release
    release=$(host_codename)
    [ "$1" = security ] && release=$release-security
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
        awk -v release="$release" '$1 == release { print $2; exit }'
}

sources_for() { # CODENAME…
    local suite main security
    main=$(mirror_of main) security=$(mirror_of security)
    [ -n "$main" ] || { echo "deploy: no Debian mirror in this machine's package lists" >&2; return 1; }
    for suite in "$@"; do
        echo "deb [signed-by=$KEYRING] $main $suite main"
        echo "deb [signed-by=$KEYRING] $main $suite-updates main"
        [ -n "$security" ] && echo "deb [signed-by=$KEYRING] $security $suite-security main"
    done
    return 0
}

# Own lists, own cache: the machine's apt configuration stays as it is.
private_apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dir::Etc::sourcelist="$WORK/apt/sources.list" \
        -o Dir::Etc::sourceparts=- -o Dir::State::lists="$WORK/apt/lists" -o Dir::Cache="$WORK/apt/cache" \
        -o APT::Default-Release="$(host_codename)" -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

has_engine_packages() {
    # shellcheck disable=SC2086
    [ "$(dpkg-query -W -f '${db:Status-Status}\n' $ENGINE_PACKAGES $HOST_PACKAGES 2>/dev/null | grep -c '^installed$')" = \
        "$(echo $ENGINE_PACKAGES $HOST_PACKAGES | wc -w)" ]
}

engine_install() {
    local policy=/usr/sbin/policy-rc.d held='' status=0
    has_engine_packages && return 0
    echo "deploy: installing a container engine"
    sources_for "$(host_codename)" trixie | sort -u >"$WORK/apt/sources.list" && private_apt update || return
    [ -e "$policy" ] || { held=1; printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; }
    # shellcheck disable=SC2086,SC2046
    private_apt install -y --no-install-recommends $HOST_PACKAGES $(printf '%s/trixie ' $ENGINE_PACKAGES) \
        >"$WORK/install.log" 2>&1 || { status=1; tail -n 30 "$WORK/install.log" >&2; }
    [ -n "$held" ] && rm -f "$policy"
    return $status
}

# ---- the daemon -----------------------------------------------------------------------------------------

engine_start() {
    export DOCKER_HOST=unix://$WORK/docker.sock DOCKER_CONFIG=$WORK/config
    mkdir -p "$DOCKER_CONFIG"
    iptables-save >"$WORK/iptables.before"
    ip6tables-save >"$WORK/ip6tables.before" 2>/dev/null
    cat /proc/sys/net/ipv4/ip_forward >"$WORK/ip_forward.before"
    rm -f "$WORK/docker0.before"
    [ -e /sys/class/net/docker0 ] && touch "$WORK/docker0.before"
    rm -f "$WORK/docker.pid" "$WORK/docker.sock"
    /usr/sbin/dockerd --data-root "$WORK/data" --exec-root "$WORK/run" --pidfile "$WORK/docker.pid" \
        -H "$DOCKER_HOST" --mtu 1400 >"$WORK/dockerd.log" 2>&1 &
    ENGINE_PID=$!
    wait_until 60 docker info || { tail -n 20 "$WORK/dockerd.log" >&2; return 1; }
}

wait_until() { # SECONDS COMMAND…
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.2
    done
}

# The static client that some machines carry knows no compose: Debian's comes first.
docker() { /usr/bin/docker "$@"; }

# ---- images ---------------------------------------------------------------------------------------------

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

images_make() {
    base_image trixie 13 && base_image bookworm 12 || return
    stand_in redis:7 "$STANDINS/redis" && stand_in haproxy:3.0 "$STANDINS/haproxy"
}

base_image() { # CODENAME NUMBER
    local archive=$WORK/$1.tar
    has_image "debian:$1-slim" && return
    echo "deploy: making the base image debian:$1-slim"
    sources_for "$1" >"$WORK/$1.list" || return
    if [ ! -s "$archive" ]; then
        mmdebstrap --quiet --format=tar --variant=minbase --mode=root "$1" "$archive.part" "$WORK/$1.list" \
            >"$WORK/mmdebstrap.log" 2>&1 || { tail -n 20 "$WORK/mmdebstrap.log" >&2; return 1; }
        mv "$archive.part" "$archive"
    fi
    docker import -c 'CMD ["bash"]' "$archive" "debian:$1-slim" >/dev/null &&
        docker tag "debian:$1-slim" "debian:$2-slim"
}

stand_in() { # TAG FOLDER
    has_image "$1" && return
    echo "deploy: making a stand-in for $1"
    docker build -q -t "$1" "$2" >/dev/null
}
