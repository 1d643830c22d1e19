"""Which resolver a machine has, what it is told, and what is said where it cannot be: e2e has the real ones."""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pulse.errors import SystemRefused
from pulse.net import resolver
from pulse.net.resolver import Openresolv, Resolved
from tests.net.programs import Programs, added

NEAR, INSIDE = "127.0.0.1:5353", "10.100.7.7:5353"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    return added(tmp_path, monkeypatch)


@pytest.fixture
def root() -> Iterator[Path]:
    """A short name: the path of a socket may have 107 bytes only."""
    with tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp") as name:
        yield Path(name)


@contextmanager
def running(root: Path) -> Iterator[None]:
    """systemd-resolved's socket, with somebody behind it."""
    place = root / "run/systemd/resolve"
    place.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(os.fspath(place / "io.systemd.Resolve"))
        listener.listen()
        yield


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


async def test_systemd_resolved_is_told_of_the_nearest_server(tmp_path: Path, root: Path, programs: Programs) -> None:
    said = tmp_path / "said"
    programs("resolvectl", f'[ "$1" = --version ] && echo "systemd 252 (252.38)" && exit; echo "$*" >> {said}')
    with running(root):
        found, server = await resolver.found((NEAR, INSIDE), root)
        await found.apply("lo", server, ("100.10.in-addr.arpa",))
        await found.revert("lo")
        await found.revert("nothing0")

    assert found.name == "systemd-resolved"
    assert said.read_text().splitlines() == [
        "default-route lo no",
        "dnssec lo no",
        "dnsovertls lo no",
        "domain lo ~pulse ~100.10.in-addr.arpa",
        "dns lo 127.0.0.1:5353",
        "revert lo",
    ]


async def test_one_that_knows_no_ports_is_told_of_port_53_alone(tmp_path: Path, programs: Programs) -> None:
    programs("resolvectl", '[ "$1" = --version ] && echo "systemd 245 (245.4)"; exit 0')

    with pytest.raises(SystemRefused, match=r"245 takes no port .*\n.*--dns-listen 127.0.0.1:53"):
        await Resolved(tmp_path).apply("lo", NEAR)
    await Resolved(tmp_path).apply("lo", "127.0.0.1:53")


@pytest.mark.parametrize("said", ["Access denied", "Interactive authentication required."])
async def test_who_may_not_is_told_of_polkit(tmp_path: Path, programs: Programs, said: str) -> None:
    programs("resolvectl", f'[ "$1" = --version ] && exit; echo "Failed to set DNS configuration: {said}"; exit 1')

    with pytest.raises(SystemRefused, match=r"takes no settings from .*\n.* rule of polkit .* --global"):
        await Resolved(tmp_path).apply("lo", NEAR)


async def test_its_settings_stand_until_it_or_the_interface_is_another(root: Path) -> None:
    here = Resolved(root)
    assert here.standing("lo") is None
    with running(root):
        fresh = here.standing("lo")
        write(root, f"run/systemd/resolve/netif/{socket.if_nametoindex('lo')}", "SERVERS=127.0.0.1:5353")
        told = here.standing("lo")

        assert None not in (fresh, told)
        assert here.standing("lo") == told != fresh
        assert here.standing("nothing0") is None
    (root / "run/systemd/resolve/io.systemd.Resolve").unlink()
    assert here.standing("lo") is None


@pytest.mark.parametrize(
    ("nsswitch", "resolv", "asked"),
    [
        ("hosts: files dns", "nameserver 127.0.0.53", True),
        ("hosts: files dns", "# nameserver 127.0.0.53\nnameserver 127.0.0.54", True),
        ("hosts: files resolve [!UNAVAIL=return] dns", "nameserver 192.0.2.1", True),
        ("hosts: files dns", "nameserver 192.0.2.1", False),
        ("passwd: resolve\nhosts: files", "nameserver 127.0.0.531", False),
    ],
)
def test_a_machine_that_does_not_ask_it_is_noticed(tmp_path: Path, nsswitch: str, resolv: str, asked: bool) -> None:
    write(tmp_path, "etc/nsswitch.conf", f"{nsswitch}\n")
    write(tmp_path, "etc/resolv.conf", f"{resolv}\n")

    assert (Resolved(tmp_path).note() == "") is asked


async def test_where_nothing_splits_names_it_says_what_to_type(tmp_path: Path, programs: Programs) -> None:
    programs("resolvconf", "echo systemd 252")

    with pytest.raises(SystemRefused) as refused:
        await resolver.found((NEAR, INSIDE), tmp_path)

    assert str(refused.value).startswith("neither systemd-resolved nor openresolv runs here, and pulse does not edit")
    assert "server=/pulse/127.0.0.1#5353" in str(refused.value)
    assert "forward-addr: 127.0.0.1@5353" in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "installed", "server", "said"),
    [
        ("dnsmasq_conf=/run/d.conf", "dnsmasq", INSIDE, "nameserver 10.100.7.7#5353"),
        ("unbound_conf=/run/u.conf", "unbound", INSIDE, "nameserver 10.100.7.7@5353"),
        ("unbound_conf=/run/u.conf", "unbound", "10.100.7.7:53", "nameserver 10.100.7.7"),
        ("dnsmasq_conf=/run/d.conf", "dnsmasq", NEAR, "a loopback address"),
        ("unbound_conf=/run/u.conf", "dnsmasq", INSIDE, "through dnsmasq or unbound only"),
        ("#dnsmasq_conf=/run/d.conf", "dnsmasq", INSIDE, "through dnsmasq or unbound only"),
    ],
)
async def test_openresolv_is_used_where_it_can_split_names(
    tmp_path: Path, programs: Programs, settings: str, installed: str, server: str, said: str
) -> None:
    words = tmp_path / "words"
    programs("resolvconf", f'[ "$1" = --version ] && echo openresolv 3.12.0 && exit; (echo "$*"; cat) >> {words}')
    programs(installed, "")
    write(tmp_path, "etc/resolvconf.conf", f"{settings}\n")

    if not said.startswith("nameserver"):
        with pytest.raises(SystemRefused, match=said):
            await resolver.found((NEAR, server), tmp_path)
        return
    found, chosen = await resolver.found((NEAR, server), tmp_path)
    await found.apply("pulse0", chosen)
    await found.revert("pulse0")

    assert words.read_text().splitlines() == ["-p -a pulse0", "domain pulse", said, "-f -d pulse0"]


async def test_its_record_stands_until_somebody_changes_it(tmp_path: Path) -> None:
    here = Openresolv(tmp_path)
    assert here.standing("lo") is None

    write(tmp_path, "run/resolvconf/interfaces/lo", "domain pulse\n")
    assert here.standing("lo") is not None
    assert here.standing("nothing0") is None
