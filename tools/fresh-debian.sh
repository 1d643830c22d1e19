#!/bin/sh
# Proves that a bare Debian with make and git is enough: `tools/fresh-debian.sh [suite] [make target…]`, as root.
# Bootstraps the suite (bookworm) from the mirror this machine's apt uses, clones this repository into it and runs the
# targets (demo) there, in a mount namespace of its own. Invariant: the machine outside is left as it was.
set -eu
suite=${1:-bookworm}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- demo

root=${FRESH_ROOT:-$(mktemp -d /var/tmp/fresh-debian.XXXXXX)}
repository=$(cd "$(dirname "$0")/.." && pwd)

mirror() {
    apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' 'Label: Debian' | sed -n 's/ .*//p' | head -1
}

security_mirror() {
    apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Label: Debian-Security' | head -1
}

bootstrap() {
    [ -e "$root/etc/debian_version" ] && return
    debootstrap --variant=minbase --include=make,git,ca-certificates "$suite" "$root" "$(mirror)"
    printf 'deb %s %s main\n' "$(mirror)" "$suite" >"$root/etc/apt/sources.list"
    [ -z "$(security_mirror)" ] ||
        printf 'deb %s %s-security main\n' "$(security_mirror)" "$suite" >>"$root/etc/apt/sources.list"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    # What makes this machine trust its registries makes the fresh one trust them.
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
}

checkout() { # the commit, and what is not committed yet, but nothing ignored
    rm -rf "$root/pulse" && mkdir "$root/pulse"
    git -C "$repository" ls-files --cached --others --exclude-standard -z |
        tar -C "$repository" --null --files-from - --create | tar -C "$root/pulse" --extract
}

if [ "${FRESH_INSIDE:-}" != yes ]; then
    bootstrap
    checkout
    FRESH_INSIDE=yes FRESH_ROOT=$root exec unshare --mount --pid --fork --kill-child "$0" "$suite" "$@"
fi

mount --bind "$root" "$root" # so that / is a mount point in there too: ip netns wants one
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
registries=$(env | grep -E '^(https?_proxy|HTTPS?_PROXY|no_proxy|NO_PROXY|PIP_CERT|PIP_INDEX_URL|CARGO_[A-Z_]*|SSL_CERT_FILE)=' || true)
# shellcheck disable=SC2086
env -i $registries HOME=/root TERM=dumb PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    chroot "$root" make --directory /pulse "$@"
