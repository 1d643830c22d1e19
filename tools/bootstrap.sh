#!/bin/sh
# A bare Debian in a directory: `tools/bootstrap.sh SUITE ROOT PACKAGE,…`, as root, from the mirror this machine's apt uses.
# Invariant: a root that is there already is left as it is.
set -eu
suite=$1 root=$2 packages=$3

mirror() {
    apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' 'Label: Debian' | sed -n 's/ .*//p' | head -1
}

security_mirror() {
    apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Label: Debian-Security' | head -1
}

[ ! -e "$root/.bootstrapped" ] || exit 0
debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$(mirror)"
printf 'deb %s %s main\n' "$(mirror)" "$suite" >"$root/etc/apt/sources.list"
[ -z "$(security_mirror)" ] ||
    printf 'deb %s %s-security main\n' "$(security_mirror)" "$suite" >>"$root/etc/apt/sources.list"
cp /etc/resolv.conf "$root/etc/resolv.conf"
# What makes this machine trust its registries makes the fresh one trust them.
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
touch "$root/.bootstrapped"
