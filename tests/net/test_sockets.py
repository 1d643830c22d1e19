"""Sockets: the node's one UDP socket, and each reason for not having it in words."""

import socket

import pytest

from pulse.errors import Conflict, SystemRefused
from pulse.net import sockets
from pulse.net.sockets import bind_beside, bind_both, bind_tcp, bind_udp, is_ours
from tests.namespace import inside, namespace
from tests.people import NOBODY, run_as
from tests.ports import free_port

BIND = """
import sys
from pulse.errors import PulseError
from pulse.net.sockets import bind_udp
"""
ANY = "0.0.0.0"  # noqa: S104 (every address is what is meant)
TRY = """
try:
    bind_udp("", int(sys.argv[1])).close()
except PulseError as error:
    print(type(error).__name__, error)
"""


def say(udp: socket.socket, host: str, family: socket.AddressFamily) -> bytes:
    """What arrives of a word sent to the socket's port at `host`."""
    with socket.socket(family, socket.SOCK_DGRAM) as speaker:
        speaker.sendto(b"hello", (host, udp.getsockname()[1]))
        udp.settimeout(10)
        return udp.recv(100)


def test_without_a_host_both_families_are_heard() -> None:
    with bind_udp("", 0) as udp:
        assert say(udp, "127.0.0.1", socket.AF_INET) == b"hello"
        assert say(udp, "::1", socket.AF_INET6) == b"hello"


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_host_is_bound_alone(host: str, family: socket.AddressFamily) -> None:
    with bind_udp(host, 0) as udp:
        assert udp.family == family
        assert udp.getsockname()[0] == host


def test_a_machine_without_ipv6_gets_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    make = socket.socket

    def refuse(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return make(family, kind)

    monkeypatch.setattr(socket, "socket", refuse)
    with bind_udp("", 0) as udp:
        assert udp.family == socket.AF_INET


def test_a_port_in_use_is_named_with_the_command_that_shows_by_whom() -> None:
    with bind_udp("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(Conflict, match=rf"(?s)UDP port {port} is in use.*ss -ulpn.*--listen :{port + 1}"):
            bind_udp("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(
        SystemRefused, match=r"(?s)203\.0\.113\.9:8443: this machine does not have that.*--listen :8443"
    ):
        bind_udp("203.0.113.9", 8443)


def test_a_name_without_an_address_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(SystemRefused, match=r"(?s)nowhere has no address here \(Name or service.*--listen :8443"):
        bind_udp("nowhere", 8443)


def test_a_privileged_port_is_refused_to_others_than_root_with_what_it_takes() -> None:
    # A namespace of its own has the kernel's limit of 1024, whatever this machine was told.
    with namespace() as fresh, inside(fresh):
        done = run_as(NOBODY, BIND, TRY, "443")

    assert done.stdout.startswith("SystemRefused cannot listen on port 443: ports below 1024 need root"), done.stderr
    assert "--listen :8443" in done.stdout


def test_a_system_that_forbids_any_port_is_not_blamed_on_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: object) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(sockets, "_bind", forbid)
    with pytest.raises(SystemRefused, match="a sandbox or a firewall policy"):
        bind_udp("", 8443)


def test_any_other_refusal_comes_with_the_systems_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def starve(*_: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(sockets, "_bind", starve)
    with pytest.raises(SystemRefused, match=r"cannot listen on \*:8443: Too many open files"):
        bind_udp("", 8443)


@pytest.mark.parametrize("host", ["", "127.0.0.1"])
def test_a_tcp_socket_has_the_port_of_the_udp_one_and_lets_nobody_in_before_it_listens(host: str) -> None:
    port = free_port()
    with bind_udp(host, port), bind_tcp(host, port) as tcp:
        there = ("127.0.0.1", port)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(there, timeout=10)
        tcp.listen()
        with socket.create_connection(there, timeout=10):
            tcp.accept()[0].close()


def test_a_tcp_port_that_others_have_is_an_error_to_say() -> None:
    with bind_tcp("", 0) as taken:
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            bind_tcp("", taken.getsockname()[1])


# Another socket in its place


@pytest.mark.parametrize(
    ("host", "every", "family"), [("127.0.0.1", ANY, socket.AF_INET), ("::1", "::", socket.AF_INET6)]
)
def test_another_socket_takes_the_port_on_every_address_of_the_family_and_gives_it_back(
    host: str, every: str, family: socket.AddressFamily
) -> None:
    port = free_port()
    with bind_udp(host, port) as old, bind_beside(old, "") as fresh:
        old.close()
        assert fresh.getsockname()[:2] == (every, port)
        assert say(fresh, host, family) == b"hello"
        with bind_beside(fresh, host) as again:
            assert again.getsockname()[:2] == (host, port)


def test_nobody_else_can_take_the_port_of_the_socket_that_replaced_another() -> None:
    port = free_port()
    with bind_udp("127.0.0.1", port) as old, bind_beside(old, ""):
        old.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                thief.bind(("127.0.0.1", port))


def test_no_socket_is_made_on_an_address_of_another_machine() -> None:
    with bind_udp("127.0.0.1", 0) as old, pytest.raises(SystemRefused, match=r"cannot listen on 203\.0\.113\.9"):
        bind_beside(old, "203.0.113.9")


@pytest.mark.parametrize(("host", "ours"), [("127.0.0.1", True), ("::1", True), ("203.0.113.9", False)])
def test_it_is_known_whether_this_machine_has_an_address(host: str, ours: bool) -> None:
    assert is_ours(host) is ours


def test_of_a_name_that_means_nothing_just_now_nothing_is_concluded(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert is_ours("vm-01.example")


# Both on one port


def test_both_have_one_port_and_hear_what_is_said_there() -> None:
    udp, tcp = bind_both("127.0.0.1", free_port())
    with udp, tcp:
        assert udp.getsockname() == tcp.getsockname()
        assert say(udp, "127.0.0.1", socket.AF_INET) == b"hello"
        socket.create_connection(tcp.getsockname()).close()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_if_one_of_both_is_taken_neither_is_held(kind: socket.SocketKind) -> None:
    port = free_port()
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", port))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        with pytest.raises(OSError, match="in use"):
            bind_both("127.0.0.1", port)
    for each in bind_both("127.0.0.1", port):
        each.close()


def test_nobody_takes_the_address_of_the_one_who_answers_names() -> None:
    """Whoever bound it last would be asked; any user may, where both say that they share."""
    with namespace() as name, inside(name):
        udp, tcp = bind_both("127.0.0.1", 5353)
        with udp, tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                thief.setsockopt(socket.SOL_SOCKET, option, 1)
            for host in ("127.0.0.1", ANY):
                with pytest.raises(OSError, match="in use"):
                    thief.bind((host, 5353))
            assert say(udp, "127.0.0.1", socket.AF_INET) == b"hello"


def test_the_port_of_multicast_dns_is_shared_and_no_other() -> None:
    """As avahi has it: on all addresses, for whoever shares it."""
    with namespace() as name, inside(name), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as avahi:
        avahi.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        avahi.bind((ANY, 5353))
        udp, tcp = bind_both("127.0.0.1", 5353)
        with udp, tcp:
            assert say(udp, "127.0.0.1", socket.AF_INET) == b"hello"
            with pytest.raises(OSError, match="in use"):
                bind_both("127.0.0.1", 5353)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                other.bind((ANY, 5355))
                with pytest.raises(OSError, match="in use"):
                    bind_both("127.0.0.1", 5355)
