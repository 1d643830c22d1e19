#!/bin/sh
# Proves that a bare Debian with make and git is enough: `tools/fresh-debian.sh [suite] [make target…]`, as root.
# Bootstraps the suite (bookworm), clones this repository into it and runs the targets (demo) there, in a mount namespace
# of its own. Invariant: the machine outside is left as it was.
set -eu
suite=${1:-bookworm}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- demo

root=${FRESH_ROOT:-$(mktemp -d /var/tmp/fresh-debian.XXXXXX)}
repository=$(cd "$(dirname "$0")/.." && pwd)

checkout() { # the commit, and what is not committed yet, but nothing ignored
    rm -rf "$root/pulse" && mkdir "$root/pulse"
    git -C "$repository" ls-files --cached --others --exclude-standard -z |
        tar -C "$repository" --null --files-from - --create | tar -C "$root/pulse" --extract
}

if [ "${FRESH_INSIDE:-}" != yes ]; then
    "$(dirname "$0")/bootstrap.sh" "$suite" "$root" make,git,ca-certificates
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
