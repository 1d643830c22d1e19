#!/bin/sh
# Puts in place what pulse is built, tested and linted with: `tools/setup.sh build|test|packages|lint`.
# Invariant: asks apt only for what is missing, never removes a package, and without root or apt names what to do.
set -eu

rust_wanted=85 # the minor version of rustc 1.x that edition 2024 needs
missing=

PATH="$PATH:/usr/sbin:/sbin" # ordinary users lack these

say() { printf '%s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
want() { missing="$missing $*"; }

python() { # the newest interpreter that is new enough
    for name in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        [ -n "$name" ] && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$name" && return
    done
    return 1
}

rust_is_new_enough() {
    has cargo && has rustc || return 1
    minor=$(rustc --version | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')
    [ "${minor:-0}" -ge "$rust_wanted" ]
}

rust_packages() { # Debian 12 and Ubuntu carry a new enough Rust beside their own, under another name
    if newer=$(apt-cache search --names-only '^rustc-1\.[0-9]+$' | sed -n 's/^rustc-1\.\([0-9]*\) .*/\1/p' | sort -n | tail -1) &&
        [ "${newer:-0}" -ge "$rust_wanted" ]; then
        echo "rustc-1.$newer cargo-1.$newer"
    elif apt-cache show rustc-web >/dev/null 2>&1; then
        echo "rustc-web cargo-web"
    else
        echo "rustc cargo"
    fi
}

install_missing() {
    [ -n "$missing" ] || return 0
    if ! has apt-get; then
        say "pulse needs what these Debian packages hold:$missing"
        say "Install Python 3.11 or newer (with venv), a C compiler with its headers, and cargo 1.$rust_wanted or newer, then run make again."
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        say "These packages are missing. Type this, then run make again:"
        say "  sudo apt-get install --no-install-recommends$missing"
        exit 1
    fi
    say "installing:$missing"
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends --no-remove $missing >&2
}

refresh_package_lists() {
    if has apt-get && [ "$(id -u)" -eq 0 ]; then
        apt-get -qq update >&2 || say "apt-get update failed; going on with the package lists that are here"
    fi
}

build_tools_are_here() {
    python >/dev/null && "$(python)" -c 'import ensurepip, venv' 2>/dev/null && has cc && [ -e /usr/include/stdio.h ] &&
        has ip && has ping && rust_is_new_enough && [ -e /etc/ssl/certs/ca-certificates.crt ]
}

build() {
    if build_tools_are_here; then return; fi
    refresh_package_lists
    if ! python >/dev/null || ! "$(python)" -c 'import ensurepip, venv' 2>/dev/null; then want python3 python3-venv; fi
    if ! has cc || ! [ -e /usr/include/stdio.h ]; then want gcc libc6-dev; fi
    has ip || want iproute2
    has ping || want iputils-ping
    [ -e /etc/ssl/certs/ca-certificates.crt ] || want ca-certificates
    # shellcheck disable=SC2046
    rust_is_new_enough || want $(rust_packages)
    install_missing
    prefer_versioned_rust
    build_tools_are_here || { say "Still missing after the installation: Python 3.11 with venv, cc, ip, ping or cargo 1.$rust_wanted."; exit 1; }
}

prefer_versioned_rust() { # Ubuntu's rustc-1.85 is not on PATH as rustc
    if rust_is_new_enough; then return; fi
    for directory in /usr/lib/rust-1.*/bin; do
        if [ -x "$directory/cargo" ]; then PATH="$directory:$PATH"; fi
    done
}

# program:package of everything a test calls
test_programs="nft:nftables iptables:iptables ethtool:ethtool conntrack:conntrack iperf3:iperf3 tcpdump:tcpdump
    strace:strace systemd-analyze:systemd tmux:tmux gcore:gdb miniupnpd:miniupnpd-nftables zsh:zsh fish:fish
    mandoc:mandoc dbus-daemon:dbus-daemon ssh:openssh-client sshd:openssh-server curl:curl nc:netcat-openbsd"

# Packages that would take over the DNS of whatever machine they are installed on, or leave a database running there:
# tests run them where they are unpacked.
unpacked=.venv/unpacked
unpacked_packages="systemd-resolved libsystemd-shared openresolv dnsmasq-base"

exists() { [ -e "$1" ]; } # for patterns: the first file that fits, or the pattern itself

postgres_is_here() {
    for program in initdb psql; do
        exists /usr/lib/postgresql/*/bin/$program || exists $unpacked/*/usr/lib/postgresql/*/bin/$program || return 1
    done
}

want_postgres() { # the server and psql of this distribution, and their libraries but the compiler, which tests turn off
    postgres=$(apt-cache depends postgresql 2>/dev/null |
        sed -n 's/.*Depends: postgresql-\([0-9]*\)$/postgresql-\1 postgresql-client-\1/p' | head -1)
    unpacked_packages="$unpacked_packages $postgres"
    # shellcheck disable=SC2086
    for library in $(apt-cache depends $postgres | sed -n '/Depends: libllvm/d; s/.*Depends: \(lib.*\)$/\1/p' | sort -u); do
        dpkg -s "$library" >/dev/null 2>&1 || want "$library"
    done
}

unpack() { # each in a directory of its own, for some have files of the same name
    for package in $unpacked_packages; do
        [ ! -d "$unpacked/$package" ] || continue
        work=$(mktemp -d)
        if (cd "$work" && apt-get -qq download "$package" >&2) && dpkg -x "$work"/*.deb "$work/root"; then
            mkdir -p "$unpacked" && mv "$work/root" "$unpacked/$package"
        else
            say "$package could not be had: tests that need it are skipped"
        fi
        rm -rf "$work"
    done
}

unpacked_is_here() {
    for package in $unpacked_packages; do [ -d "$unpacked/$package" ] || return 1; done
}

browser_is_here() { has chromium-headless-shell || has chromium; }

tests() {
    for pair in $test_programs; do
        has "${pair%%:*}" || want "${pair##*:}"
    done
    if [ -n "$missing" ] || ! browser_is_here || ! unpacked_is_here || ! postgres_is_here; then refresh_package_lists; fi
    # Where there is no such package (Ubuntu has browsers as snaps alone) the test that needs one is skipped.
    browser_is_here || ! apt-cache show chromium-headless-shell >/dev/null 2>&1 || want chromium-headless-shell
    if has apt-get && ! postgres_is_here; then want_postgres; fi
    install_missing
    if has apt-get && has dpkg; then unpack; fi
}

packages() {
    for pair in dpkg-deb:dpkg debootstrap:debootstrap; do
        has "${pair%%:*}" || want "${pair##*:}"
    done
    [ -z "$missing" ] || refresh_package_lists
    install_missing
}

lint() {
    prefer_versioned_rust
    has cargo-fmt || [ ! -e /usr/share/doc/rustc-web ] || want rustfmt-web
    [ -z "$missing" ] || refresh_package_lists
    install_missing
    for component in clippy fmt; do
        cargo "$component" --version >/dev/null 2>&1 && continue
        say "make lint needs cargo $component, which this Rust does not bring: install a Rust that does (rustup: rustup component add clippy rustfmt)."
        exit 1
    done
}

case "${1:-}" in
build) build ;;
test) tests ;;
packages) packages ;;
lint) lint ;;
python) python ;;
rust-path) prefer_versioned_rust; echo "$PATH" ;;
*) say "usage: tools/setup.sh build|test|packages|lint|python|rust-path"; exit 2 ;;
esac
