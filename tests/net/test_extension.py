"""The compiled module as its stub promises it: events in their order, streams, and an end that leaves nothing."""

import ast
import gc
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pulse
from pulse import _dataplane
from pulse._dataplane import Dataplane
from pulse.net.dataplane import _ON_EVENT
from tests.authority import node
from tests.loopback import CA, PATIENCE, Plane, bare_plane, key_der, plane

STUB = Path(_dataplane.__file__).with_name("_dataplane.pyi")
NODE = bytes.fromhex(node("somebody"))

TOO_MANY_FOR_A_STRAY = 5
"""Descriptors or threads by which the tests' own machinery may differ; a leak would show by dozens."""


def raw_id(of: Plane) -> bytes:
    return bytes.fromhex(of.me.node_id)


def stub_events() -> dict[str, list[str]]:
    """The events of the stub: kind to the names of its fields."""
    text = ast.get_docstring(ast.parse(STUB.read_text(encoding="utf-8"))) or ""
    found: dict[str, list[str]] = {}
    for part in text.split('\n    ("')[1:]:
        kind, _, fields = part.partition('"')
        inside = fields[: fields.index(")")]
        found[kind] = [each.partition(":")[0].strip() for each in inside.split(",") if each.strip()]
    return found


# Events


def test_every_event_of_the_stub_is_heard() -> None:
    assert set(stub_events()) == set(_ON_EVENT)
    assert set(_ON_EVENT) <= set(stub_events())


def test_a_link_up_has_the_fields_of_the_stub_in_their_order() -> None:
    with plane("alice") as alice, plane("bob", 2) as bob:
        dial = alice.raw.dial(bob.raw.local_address(), raw_id(bob))
        fields = dict(zip(stub_events()["LinkUp"], alice.wait("LinkUp"), strict=True))
        theirs = dict(zip(stub_events()["LinkUp"], bob.wait("LinkUp"), strict=True))

        assert (fields["dial"], theirs["dial"]) == (dial, 0)
        assert (fields["node"], fields["certificate"], fields["transport"]) == (raw_id(bob), bob.me.der, "quic")
        assert fields["observed"] == bob.raw.local_address()
        assert (fields["version"], fields["boot"]) == (1, bob.raw.boot_id())
        assert (fields["index"], theirs["index"]) == (theirs["link"], fields["link"])
        assert fields["replaces"] == 0
        assert isinstance(fields["clock"], float)
        assert len(fields["revocations"]) == 32
        assert isinstance(fields["features"], int)


def test_messages_and_the_end_of_a_link_have_the_fields_of_the_stub() -> None:
    with plane("alice") as alice, plane("bob", 2) as bob:
        ours, theirs = alice.link_with(bob)
        assert alice.raw.send(ours, b"hello")
        assert bob.wait("Message") == (theirs, b"hello")

        alice.raw.close_link(ours, "enough")
        link, who, reason = bob.wait("LinkDown")
        assert (link, who) == (theirs, raw_id(alice))
        assert "enough" in reason


def test_no_more_events_are_drained_than_asked_for_and_the_rest_keeps_the_descriptor_readable() -> None:
    with plane("alice") as alice:
        joins = [alice.raw.dial("127.0.0.1:0", None) for _ in range(3)]
        first = alice.wait("DialFailed")
        poll = select.poll()
        poll.register(alice.raw.fileno(), select.POLLIN)
        while len(alice.events) < 2:
            assert poll.poll(PATIENCE * 1000)
            (event,) = alice.raw.drain(1)
            alice.events.append(event)

    assert {first[0], *(event[1] for event in alice.events)} == set(joins)


# Arguments


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda raw: raw.dial("example.com:443", None), "is no ip:port"),
        (lambda raw: raw.dial("127.0.0.1:443", b"short"), "a node id has 32 bytes, not 5"),
        (lambda raw: raw.send(1, bytes(64 * 1024 + 1)), "longer than 64 KiB"),
        (lambda raw: raw.request(NODE, bytes(1024 * 1024 + 1), 1.0), "longer than 1 MiB"),
        (lambda raw: raw.request(NODE, b"", -1.0), "timeout -1"),
        (lambda raw: raw.replace_addresses([("10.0.0.0/33", NODE, True, True)]), "is no prefix"),
        (
            lambda raw: raw.replace_policy([(True, ["10.0.0.256"], None, [], [], False, "", ((), ()), ((), ()))]),
            "is no handle",
        ),
        (
            lambda raw: raw.replace_policy([(True, None, None, [256], [], False, "", ((), ()), ((), ()))]),
            "256 is not an IP protocol",
        ),
        (
            lambda raw: raw.replace_policy([(True, None, None, [], [(0, 65536)], False, "", ((), ()), ((), ()))]),
            "65536 is not a port",
        ),
        (
            lambda raw: raw.replace_policy([(True, None, None, [], [(9, 8)], False, "", ((), ()), ((), ()))]),
            "ports 9-8 are no range",
        ),
        (lambda raw: raw.set_fec([(NODE, 1, 9, False)]), "9 parity packets are more than 8"),
        (lambda raw: raw.set_fec([(b"short", 1, 2, False)]), "a node id has 32 bytes, not 5"),
        (lambda raw: raw.install_identity([CA.leaf("alice")], key_der("bob")), "do not fit"),
        (lambda raw: raw.install_identity([b"no certificate"], key_der("bob")), "no node certificate"),
        (lambda raw: raw.install_trust([b"no certificate"], CA.network.label, [], 0.0), "cannot be read"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(call: Callable[[Dataplane], object], words: str) -> None:
    raw = bare_plane()
    with pytest.raises(ValueError, match=words):
        call(raw)
    raw.close()


def test_a_refusal_of_the_system_carries_its_errno() -> None:
    raw = bare_plane()
    with pytest.raises(OSError, match="Invalid argument") as refused:
        raw.attach_tun("a/slash")
    raw.close()

    assert (refused.value.errno, refused.value.strerror) == (22, "Invalid argument")


def test_a_descriptor_that_is_none_is_refused() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        Dataplane(999_999)


def test_a_node_without_an_identity_links_with_nobody() -> None:
    raw = bare_plane()
    alone = Plane(raw, CA.certificate("nobody"))
    raw.dial("127.0.0.1:9", None)

    assert alone.wait("DialFailed")[1] == "identity"
    raw.close()


# Streams


def offer(alice: Plane, bob: Plane) -> tuple[int, int]:
    """Alice opens a stream to Bob, who hears of it; both numbers of it."""
    alice.link_with(bob)
    opened = alice.raw.open_stream(raw_id(bob), b"db:5432")
    offered, who, header = bob.wait("StreamOffered")
    assert (who, header) == (raw_id(alice), b"db:5432")
    return opened, offered


def test_an_accepted_stream_carries_bytes_both_ways_between_two_sockets() -> None:
    with plane("alice") as alice, plane("bob", 2) as bob:
        opened, offered = offer(alice, bob)
        near, ours = socket.socketpair()
        far, theirs = socket.socketpair()
        bob.raw.accept_stream(offered, theirs.detach())
        assert alice.wait("StreamAccepted") == (opened,)
        alice.raw.splice(opened, ours.detach())
        with near, far:
            near.sendall(b"select 1")
            far.settimeout(PATIENCE)
            assert far.recv(100) == b"select 1"
            far.sendall(b"1")
            near.settimeout(PATIENCE)
            assert near.recv(100) == b"1"

        assert alice.wait("StreamClosed") == (opened, 8, 1, 0)
        assert bob.wait("StreamClosed") == (offered, 1, 8, 0)


def test_the_end_of_one_direction_of_a_stream_leaves_the_other_open() -> None:
    with plane("alice") as alice, plane("bob", 2) as bob:
        opened, offered = offer(alice, bob)
        near, ours = socket.socketpair()
        far, theirs = socket.socketpair()
        bob.raw.accept_stream(offered, theirs.detach())
        alice.wait("StreamAccepted")
        alice.raw.splice(opened, ours.detach())
        with near, far:
            near.shutdown(socket.SHUT_WR)
            far.settimeout(PATIENCE)
            assert far.recv(100) == b""
            far.sendall(b"late words")
            near.settimeout(PATIENCE)
            assert near.recv(100) == b"late words"


def test_a_refused_stream_gives_its_opener_the_code() -> None:
    with plane("alice") as alice, plane("bob", 2) as bob:
        opened, offered = offer(alice, bob)
        bob.raw.refuse_stream(offered, 7)

        assert alice.wait("StreamRefused") == (opened, 7)


def test_a_stream_its_opener_cancels_is_closed_at_the_far_side() -> None:
    with plane("alice") as alice, plane("bob", 2) as bob:
        opened, offered = offer(alice, bob)
        alice.raw.cancel_stream(opened)

        assert alice.wait("StreamRefused") == (opened, 260)
        assert bob.wait("StreamClosed") == (offered, 0, 0, 260)


def test_a_stream_to_a_node_nothing_leads_to_is_refused() -> None:
    with plane("alice") as alice:
        opened = alice.raw.open_stream(NODE, b"db:5432")

        assert alice.wait("StreamRefused") == (opened, 256)


# The end


def test_closing_twice_is_closing_once_and_whatever_is_asked_after_it_is_refused() -> None:
    raw = bare_plane()
    raw.close()
    raw.close()
    calls: list[Callable[[], Any]] = [
        raw.boot_id, raw.local_address, raw.statistics, raw.detach_tun,
        lambda: raw.dial("127.0.0.1:9", None), lambda: raw.send(1, b""), lambda: raw.join("127.0.0.1:9", True),
        lambda: raw.request(NODE, b"", 1.0), lambda: raw.open_stream(NODE, b""), lambda: raw.replace_routes({}),
        lambda: raw.replace_policy([]),
        lambda: raw.attach_tun("pulse0"), lambda: raw.answer_join(1, b""),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(RuntimeError, match="data plane is closed"):
            call()


def test_what_happened_before_the_end_can_be_drained_after_it() -> None:
    raw = bare_plane()
    raw.dial("127.0.0.1:9", None)
    poll = select.poll()
    poll.register(raw.fileno(), select.POLLIN)
    assert poll.poll(PATIENCE * 1000)
    raw.close()

    assert [event[0] for event in raw.drain()] == ["DialFailed"]
    assert raw.drain() == []


def count(what: str) -> int:
    return len(os.listdir(f"/proc/self/{what}"))


def test_fifty_lives_leave_no_descriptor_and_no_thread() -> None:
    with plane("bob", 2) as bob:
        gc.collect()
        before = count("fd"), count("task")
        for _ in range(50):
            with plane("alice") as alice:
                alice.link_with(bob)
            bob.wait("LinkDown")
        del alice
        gc.collect()

        assert count("fd") - before[0] < TOO_MANY_FOR_A_STRAY
        assert count("task") - before[1] < TOO_MANY_FOR_A_STRAY


def test_a_node_that_goes_without_closing_holds_up_nobody() -> None:
    code = """
import gc
from pulse._dataplane import Dataplane
from pulse.net.sockets import bind_udp
left = Dataplane(bind_udp("127.0.0.1", 0).detach())
del left
gc.collect()
kept = Dataplane(bind_udp("127.0.0.1", 0).detach())
print("end", flush=True)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(pulse.__path__[0]).parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
