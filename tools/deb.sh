#!/bin/sh
# Makes the Debian package of a wheel: `tools/deb.sh WHEEL DIRECTORY`. It fits the Python of this machine's Debian, or
# that of the suite for which DEB_PYTHON is named (3.13). Needs dpkg-deb, and pip in $PYTHON.
# Invariant: the same wheel gives the same bytes; what is in it is what requirements-run.lock says.
set -eu
[ $# -eq 2 ] || { echo "usage: tools/deb.sh WHEEL DIRECTORY" >&2; exit 2; }
wheel=$(realpath "$1")
output=$(realpath "$2")
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
minor=${DEB_PYTHON:-$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')}
machine=$(uname -m)
umask 022
stage=$(mktemp -d)
chmod 755 "$stage"
trap 'rm -rf "$stage"' EXIT

release=$(basename "$wheel" | cut -d- -f2)
# Packages of one release that were made of different commits are told apart, and the later one is the newer.
built=$("$python" -c 'import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).read("pulse/commit").decode().rstrip("+\n"))' "$wheel")
commit=$(git show --no-patch --date=format:%Y%m%d%H%M --format=%cd.%h --abbrev=12 "$built" 2>/dev/null || true)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git show --no-patch --format=%ct "$built" 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
version=$release${commit:+"+git$commit"}-1+py$minor

environment() { # a virtual environment by hand: pip's would have the Python of the machine that builds
    root=$stage/usr/lib/pulse-mesh
    mkdir -p "$root/bin" "$stage/usr/bin"
    printf 'home = /usr/bin\ninclude-system-site-packages = false\nversion = %s\n' "$minor" >"$root/pyvenv.cfg"
    ln -s "/usr/bin/python$minor" "$root/bin/python3"
    install_into() {
        "$python" -m pip --disable-pip-version-check --quiet install --no-compile --no-warn-conflicts --only-binary :all: \
            --target "$root/lib/python$minor/site-packages" --implementation cp --python-version "$minor" \
            --platform "manylinux_2_28_$machine" --platform "manylinux_2_17_$machine" --platform "manylinux2014_$machine" \
            "$@"
    }
    install_into --require-hashes --requirement requirements-run.lock
    install_into --no-deps --upgrade "$wheel"
    site=$root/lib/python$minor/site-packages
    rm -rf "$site/bin" "$site/share"
    # Where the wheel was on this machine is nobody's business, and what is in it changes with each build's place.
    rm -f "$site"/pulse_mesh-*.dist-info/direct_url.json
    cat >"$root/bin/pulse" <<END
#!/usr/lib/pulse-mesh/bin/python3
import sys

from pulse.cli.app import main

sys.exit(main())
END
    chmod 755 "$root/bin/pulse"
    ln -s ../lib/pulse-mesh/bin/pulse "$stage/usr/bin/pulse"
}

system_files() {
    service=$site/pulse/cli/files
    install -D -m 644 "$service/pulse.service" "$stage/usr/lib/systemd/system/pulse.service"
    install -D -m 644 "$service/sysusers.conf" "$stage/usr/lib/sysusers.d/pulse-mesh.conf"
    install -D -m 644 "$service/polkit.rules" "$stage/usr/share/polkit-1/rules.d/50-pulse.rules"
    install -D -m 644 "$service/config.toml" "$stage/etc/pulse-mesh/config.toml"
    share=$stage/usr/share
    mkdir -p "$share/man/man1" "$share/doc/pulse-mesh"
    gzip -9n <deploy/wheel/data/share/man/man1/pulse.1 >"$share/man/man1/pulse.1.gz"
    cp -r deploy/wheel/data/share/pulse-mesh "$share/pulse-mesh"
    gzip -9n <CHANGELOG.md >"$share/doc/pulse-mesh/changelog.gz"
    { cat deploy/debian/copyright; sed -n '/^Permission/,$ { s/^$/./; s/^/ /; p }' LICENSE; } >"$share/doc/pulse-mesh/copyright"
    {
        printf 'pulse-mesh (%s) unstable; urgency=medium\n\n  * See changelog.gz.\n\n' "$version"
        printf ' -- The pulse project <packages@pulse.invalid>  %s\n' "$(date --utc --date="@$SOURCE_DATE_EPOCH" --rfc-email)"
    } | gzip -9n >"$share/doc/pulse-mesh/changelog.Debian.gz"
    completion bash bash-completion/completions/pulse
    completion zsh zsh/vendor-completions/_pulse
    completion fish fish/vendor_completions.d/pulse.fish
}

completion() { # shell, file; written by the same commands, which the Python of this environment can run as well
    mkdir -p "$share/$(dirname "$2")"
    PYTHONDONTWRITEBYTECODE=1 "$python" -m pulse completion "$1" >"$share/$2"
}

control() {
    mkdir "$stage/DEBIAN"
    next=${minor%.*}.$((${minor#*.} + 1))
    size=$(du --summarize --apparent-size --block-size=1024 --exclude=DEBIAN "$stage" | cut -f1)
    sed "s/@VERSION@/$version/; s/@ARCHITECTURE@/$(dpkg --print-architecture)/; s/@SIZE@/$size/; s/@PYTHON@/$minor/
        s/@NEXT_PYTHON@/$next/" deploy/debian/control >"$stage/DEBIAN/control"
    install -m 644 deploy/debian/conffiles "$stage/DEBIAN/conffiles"
    install -m 755 deploy/debian/postinst deploy/debian/prerm deploy/debian/postrm "$stage/DEBIAN/"
    (cd "$stage" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) \
        >"$stage/DEBIAN/md5sums"
}

environment
system_files
control
file=$output/pulse-mesh_${version}_$(dpkg --print-architecture).deb
dpkg-deb --root-owner-group --build "$stage" "$file" >/dev/null
echo "$file"
