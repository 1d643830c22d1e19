#!/bin/sh
# Builds what users would pick instead, wireguard-go and Nebula, and measures them beside pulse in one lab, in turns:
# `bench/peers.sh [--json] [--rounds 3] [--seconds 5]`. By hand only: it fetches Go modules and needs root.
# Invariant: a rival that cannot be built is named and left out of the table; nothing is installed outside the cache.
set -eu
cd "$(dirname "$0")/.."

bin=${XDG_CACHE_HOME:-$HOME/.cache}/pulse-bench
export GOBIN="$bin" CGO_ENABLED=0
mkdir -p "$bin"

say() { printf '%s\n' "$*" >&2; }

build() { # name of the program, its package, versions to try in turn
    program=$1 package=$2
    shift 2
    [ -x "$bin/$program" ] && return
    for version in "$@"; do
        say "building $package@$version"
        go install "$package@$version" && return
    done
    say "left out: $program cannot be built"
}

if command -v go >/dev/null 2>&1; then
    build wireguard golang.zx2c4.com/wireguard latest
    # The latest may want a Go that is newer than the one here.
    build nebula github.com/slackhq/nebula/cmd/nebula latest v1.10.3
    build nebula-cert github.com/slackhq/nebula/cmd/nebula-cert latest v1.10.3
else
    say "left out: without go on PATH no rival can be built"
fi
say "left out: the Go program of the same name makes a pulse0 of its own, so it cannot run beside this one; measure it by hand"

python=.venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" bench/rivals.py --bin "$bin" "$@"
