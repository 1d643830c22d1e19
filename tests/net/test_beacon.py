"""The beacons' group: which LANs there are, who hears what goes out, and what comes in."""

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from ipaddress import ip_interface

import pytest

from pulse.core.messages import BEACON_LIMIT
from pulse.lab.host import wait_until
from pulse.net import beacon
from pulse.net.beacon import GROUP_V4, GROUP_V6, PORT, Channel, Lan, lans
from pulse.net.netlink import HostAddress, Netlink
from tests.cables import DEVICE, HERE, THERE, cable
from tests.namespace import inside, ip

Ends = tuple[str, str]


def address(interface: str, text: str, index: int, *, lan: bool = True) -> HostAddress:
    return HostAddress(interface, ip_interface(text), not lan, index, lan)


MACHINE = [
    address("lo", "127.0.0.1/8", 1, lan=False),
    address("eth0", "192.168.7.1/24", 2),
    address("eth0", "fe80::1/64", 2),
    address("eth0", "192.168.8.1/24", 2),
    address("pulse0", "10.100.0.1/16", 3),
    address("wg0", "10.9.0.1/24", 4, lan=False),
]


# Which LANs


def test_a_lan_is_an_interface_in_one_family_that_is_no_tunnel_and_not_the_meshs_own() -> None:
    found = lans(MACHINE, ["pulse0"])

    assert [(each.interface, each.index, each.version, len(each.addresses)) for each in found] == [
        ("eth0", 2, 4, 2),
        ("eth0", 2, 6, 1),
    ]


@pytest.mark.parametrize(("host", "families"), [("192.168.7.1", [4]), ("fe80::1", [6]), ("127.0.0.1", [])])
def test_a_node_that_takes_in_links_at_one_address_has_the_lan_of_that_one(host: str, families: list[int]) -> None:
    assert [each.version for each in lans(MACHINE, ["pulse0"], host)] == families


def test_of_very_many_lans_some_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beacon, "MOST_LANS", 3)

    assert len(lans(address(f"br{n}", f"172.16.{n}.1/24", n) for n in range(2, 40))) == 3


def test_others_on_its_subnet_are_on_a_lan_and_nobody_else_is() -> None:
    v4, v6 = lans(MACHINE, ["pulse0"])

    assert [v4.has(each) for each in ("192.168.7.2", "192.168.8.9", "192.168.7.1", "203.0.113.1", "fe80::2")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert [v6.has(each) for each in ("fe80::2", "fe80::1", "2001:db8::1", "192.168.7.2")] == [
        True,
        False,
        False,
        False,
    ]


# What goes out and comes in


@pytest.fixture
def ends() -> Iterator[Ends]:
    with cable() as made:
        yield made


def lans_of(host: str) -> list[Lan]:
    """The LANs of a namespace."""
    with inside(host), Netlink() as kernel:
        return lans(kernel.addresses())


def channels(stack: ExitStack, host: str) -> dict[int, Channel]:
    """The channels of a namespace by family, closed with the stack."""
    found = lans_of(host)
    with inside(host):
        return {lan.version: stack.enter_context(closing(Channel(lan))) for lan in found}


def heard(channel: Channel, most: int = 8) -> list[tuple[bytes, str]]:
    """What came, once something did."""
    ready = select.poll()
    ready.register(channel, select.POLLIN)
    assert ready.poll(20_000), "a datagram comes"
    return channel.receive(most)


@pytest.mark.parametrize(("family", "source"), [(4, HERE), (6, "fe80::1%{index}")])
def test_what_goes_out_comes_to_the_others_and_not_to_ourselves(ends: Ends, family: int, source: str) -> None:
    with ExitStack() as stack:
        here, there = (channels(stack, end)[family] for end in ends)

        assert here.send(b"here I am")

        assert heard(there) == [(b"here I am", source.format(index=there.lan.index))]
        assert here.receive(8) == []
        assert there.receive(8) == []


def test_two_nodes_of_one_machine_both_hear(ends: Ends) -> None:
    with ExitStack() as stack:
        here = channels(stack, ends[0])[4]
        one, other = (channels(stack, ends[1])[4] for _ in range(2))

        here.send(b"here I am")

        assert heard(one) == heard(other) == [(b"here I am", HERE)]


def test_what_is_sent_to_one_machine_alone_is_no_beacon(ends: Ends) -> None:
    """So nobody off the LAN can send one, whatever address it comes from."""
    with ExitStack() as stack:
        here, there = (channels(stack, end)[4] for end in ends)
        with inside(ends[0]):
            lone = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        lone.sendto(b"for you alone", (THERE, PORT))
        here.send(b"for all")

        assert heard(there) == [(b"for all", HERE)]


def test_a_channel_hears_its_own_lan_only(ends: Ends) -> None:
    here, there = ends
    ip(there, "link", "add", "dmz0", "type", "veth", "peer", "name", "dmz1")
    ip(there, "address", "add", "192.168.9.2/24", "dev", "dmz0")
    for device in ("dmz0", "dmz1"):
        ip(there, "link", "set", device, "up")
    with ExitStack() as stack:
        sender = channels(stack, here)
        wait_until(lambda: "dmz0" in {lan.interface for lan in lans_of(there)}, "there is another LAN", 20.0)
        found = [lan for lan in lans_of(there) if lan.version == 4]
        with inside(there):
            opened = {lan.interface: stack.enter_context(closing(Channel(lan))) for lan in found}
        assert set(opened) == {DEVICE, "dmz0"}

        sender[4].send(b"on the cable")

        assert heard(opened[DEVICE]) == [(b"on the cable", HERE)]
        assert opened["dmz0"].receive(8) == []


@pytest.mark.parametrize("family", [4, 6])
def test_nothing_that_goes_out_is_passed_on(ends: Ends, family: int) -> None:
    """One hop, by the word of the datagram itself."""
    with ExitStack() as stack:
        here = channels(stack, ends[0])[family]
        with inside(ends[1]):
            kind = socket.ntohs(0x0800 if family == 4 else 0x86DD)
            tap = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, kind))
        tap.settimeout(20.0)
        here.send(b"here I am")
        while not (packet := tap.recv(2048)).endswith(b"here I am"):
            pass

        assert packet[8 if family == 4 else 7] == 1


def test_a_datagram_too_long_is_seen_to_be_too_long(ends: Ends) -> None:
    with ExitStack() as stack:
        here, there = (channels(stack, end)[4] for end in ends)
        here.send(bytes(BEACON_LIMIT + 100))

        ((data, _),) = heard(there)
        assert len(data) == BEACON_LIMIT + 1


def test_so_many_are_taken_at_once(ends: Ends) -> None:
    with ExitStack() as stack:
        here, there = (channels(stack, end)[4] for end in ends)
        for number in range(5):
            here.send(bytes((number,)))

        assert heard(there, 2) == [(b"\0", HERE), (b"\1", HERE)]
        assert len(there.receive(8)) == 3


def test_a_node_bound_to_one_ipv6_address_says_so_from_there(ends: Ends) -> None:
    for name, number in zip(ends, (1, 2), strict=True):
        ip(name, "address", "add", f"2001:db8::{number}/64", "dev", DEVICE, "nodad")
    with ExitStack() as stack:
        with inside(ends[0]), Netlink() as kernel:
            (lan,) = lans(kernel.addresses(), (), "2001:db8::1")
            here = stack.enter_context(closing(Channel(lan)))
        there = channels(stack, ends[1])[6]

        here.send(b"here I am")

        assert heard(there) == [(b"here I am", "2001:db8::1")]


def test_a_cable_that_was_pulled_takes_nothing_and_breaks_nothing(ends: Ends) -> None:
    with ExitStack() as stack:
        opened = channels(stack, ends[0])
        ip(ends[0], "link", "set", DEVICE, "down")

        assert not any(channel.send(b"here I am") for channel in opened.values())
        assert [lan for lan in lans_of(ends[0]) if lan.interface == DEVICE] == []


def test_an_interface_that_is_gone_is_refused(ends: Ends) -> None:
    found = lans_of(ends[0])
    ip(ends[0], "link", "delete", DEVICE)

    for lan in found:
        with inside(ends[0]), pytest.raises(OSError, match=r"No such device|Cannot assign"):
            Channel(lan)


def test_the_groups_are_those_that_are_written_down() -> None:
    assert (GROUP_V4, GROUP_V6, PORT) == ("239.255.80.76", "ff12::8475:6c73", 28443)
