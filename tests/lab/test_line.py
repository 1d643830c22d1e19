"""Impairments on the real kernel: what was asked for happens, that way and no other, and ends when it is to."""

import itertools
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pulse.errors import ConfigError, NotFound, PulseError
from pulse.lab import namespaces
from pulse.lab.host import Host, wait_until
from pulse.lab.impairment import Impairment
from pulse.lab.lab import Lab
from pulse.lab.scenario import read
from pulse.lab.state import is_alive
from tests.lab.datagrams import Datagrams, datagrams
from tests.namespace import require_root

_UDP_SEGMENT = 103
"""Socket option: the kernel cuts what is sent into datagrams of so many bytes, as late as it can."""


@pytest.fixture(scope="module")
def built() -> Iterator[Lab]:
    require_root()
    with Lab() as lab:
        yield lab


@pytest.fixture
def lab(built: Lab) -> Iterator[Lab]:
    """Two hosts on a cable that does nothing to packets yet."""
    yield built
    built.impair(0)


def send_all(source: Datagrams, target: Datagrams, count: int) -> list[int]:
    """Send so many numbered datagrams; returns the numbers that came, in order."""
    for number in range(count):
        source.send(target.address, str(number))
    came: list[str] = []

    def ended() -> bool:
        source.send(target.address, "end")
        came.extend(target.come())
        return "end" in came

    wait_until(ended, "the last one came")
    return [int(text) for text in came if text != "end"]


def round_trip(host: Host, address: str) -> float:
    """The shortest of three round trips in milliseconds."""
    said = host.run(["ping", "-q", "-c3", "-i0.01", "-W20", address]).stdout
    return float(said.rpartition("= ")[2].split("/")[0])


# Delay, jitter, reordering


@pytest.mark.parametrize("version", ["v4", "v6"])
def test_a_delay_is_added_each_way(lab: Lab, version: str) -> None:
    address = str(getattr(lab["b"], version).ip)
    assert round_trip(lab["a"], address) < 40
    lab.impair(0, Impairment(delay_ms=20))
    assert 40 <= round_trip(lab["a"], address) < 400
    lab.impair(0, Impairment(delay_ms=50), to="b")
    assert 70 <= round_trip(lab["a"], address) < 700
    lab.impair(0)
    assert round_trip(lab["a"], address) < 40


def test_jitter_keeps_the_order(lab: Lab) -> None:
    lab.impair(0, Impairment(delay_ms=30, jitter_ms=20), to="b")
    with datagrams((lab["a"], 0), (lab["b"], 0)) as (a, b):
        for number in range(200):
            a.send(b.address, str(number))

        assert [int(b.next()[0]) for _ in range(200)] == list(range(200))


def test_reordering_lets_some_overtake_and_loses_none(lab: Lab) -> None:
    lab.impair(0, Impairment(delay_ms=30, reorder_percent=20), to="b")
    with datagrams((lab["a"], 0), (lab["b"], 0)) as (a, b):
        for number in range(200):
            a.send(b.address, str(number))
        came = [int(b.next()[0]) for _ in range(200)]

    assert sorted(came) == list(range(200))
    assert came != sorted(came)


def test_a_cable_that_was_pulled_is_as_slow_as_before(lab: Lab) -> None:
    lab.impair(0, Impairment(delay_ms=20))
    lab.cut("a", "b")
    lab.mend("a", "b")

    assert 40 <= round_trip(lab["a"], str(lab["b"].v4.ip)) < 400


def test_a_program_that_ended_is_missed(lab: Lab) -> None:
    with Lab() as other:
        other.impair(0, Impairment(delay_ms=20), to="b")
        (program,) = [each for each in other["a"]._started if "delay" in str(each.process.args)]
        program.stop(signal.SIGKILL)
        with pytest.raises(PulseError, match="nothing delays packets to b any more"):
            other.impair(0, Impairment(delay_ms=30), to="b")


# Loss


def test_loss_takes_its_share_one_way_and_leaves_the_other_alone(lab: Lab) -> None:
    lab.impair(0, Impairment(loss_percent=20), to="b")
    with datagrams((lab["a"], 0), (lab["b"], 0)) as (a, b):
        there, back = send_all(a, b, 2000), send_all(b, a, 500)

    assert 1400 < len(there) < 1800
    assert back == list(range(500))


def test_loss_in_bursts_takes_many_in_a_row(lab: Lab) -> None:
    with datagrams((lab["a"], 0), (lab["b"], 0)) as (a, b):
        lab.impair(0, Impairment(loss_percent=10), to="b")
        single = send_all(a, b, 5000)
        lab.impair(0, Impairment(loss_percent=10, burst=8), to="b")
        bursts = send_all(a, b, 8000)

    assert 0.03 < 1 - len(bursts) / 8000 < 0.25
    assert mean_gap(single) < 2
    assert 4 < mean_gap(bursts) < 16


def mean_gap(came: Sequence[int]) -> float:
    """How many numbers in a row are missing, on average, where some are."""
    gaps = [later - earlier - 1 for earlier, later in itertools.pairwise(came) if later - earlier > 1]
    return sum(gaps) / len(gaps)


def test_a_batch_of_the_sender_is_lost_in_pieces_not_whole(lab: Lab) -> None:
    lab.impair(0, Impairment(loss_percent=30), to="b")
    with datagrams((lab["b"], 0)) as (b,), namespaces.inside(lab["a"].namespace):
        sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sending:
            sending.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, 100)
            counts = []
            for _ in range(10):
                sending.sendto(bytes(40 * 100), b.address)
                counts.append(len(b.come()))

    assert all(0 < count < 40 for count in counts)


def test_all_is_lost_but_neighbours_are_found_and_no_udp_is_only_no_udp(lab: Lab) -> None:
    a, address = lab["a"], str(lab["b"].v4.ip)
    with datagrams((a, 0), (lab["b"], 0)) as (here, there):
        lab.impair(0, Impairment(loss_percent=100), to="b")
        a.run(["ip", "neighbour", "flush", "all"])
        assert a.run(["ping", "-c1", "-W1", address], check=False).code != 0
        assert "FAILED" not in a.run(["ip", "neighbour", "show", address]).stdout
        lab.impair(0, Impairment(block_udp=True))
        here.send(there.address, "blocked")
        there.send(here.address, "blocked")
        a.run(["ping", "-c1", "-W5", address])
        lab.impair(0)
        assert send_all(here, there, 5) == send_all(there, here, 5) == list(range(5))


def test_an_interruption_ends_by_itself(lab: Lab) -> None:
    with datagrams((lab["a"], 0), (lab["b"], 0)) as (a, b):
        begin = time.monotonic()
        lab.interrupt(0, 0.5, to="b")
        a.send(b.address, "lost")
        b.send(a.address, "the other way")
        assert a.next()[0] == "the other way"

        def came() -> list[str]:
            a.send(b.address, "again")
            return b.come()

        wait_until(lambda: "again" in (heard := came()) and "lost" not in heard, "the network is back", timeout=10)
        assert time.monotonic() - begin >= 0.4


# Rate


def test_a_rate_holds_back_one_way(lab: Lab) -> None:
    free = seconds_for(lab["a"], lab["b"], 1_000_000)
    lab.impair(0, Impairment(rate_mbit=16), to="b")
    held, back = seconds_for(lab["a"], lab["b"], 1_000_000), seconds_for(lab["b"], lab["a"], 1_000_000)
    lab.impair(0, Impairment(rate_mbit=16, delay_ms=5), to="b")
    late = seconds_for(lab["a"], lab["b"], 1_000_000)

    for seconds in (held, late):
        assert 8 / 16 * 0.8 < seconds < 8 / 16 * 10
        assert seconds > 2 * max(free, back)


def seconds_for(sender: Host, receiver: Host, size: int) -> float:
    """Send so many bytes over one TCP connection; returns how long they took."""
    with namespaces.inside(receiver.namespace):
        listening = socket.create_server((str(receiver.v4.ip), 0))
    with namespaces.inside(sender.namespace):
        sending = socket.create_connection(listening.getsockname(), timeout=60)
    with listening, sending, listening.accept()[0] as receiving:
        begin = time.monotonic()
        pushing = threading.Thread(target=lambda: sending.sendall(bytes(size)))
        pushing.start()
        left = size
        while left:
            left -= len(receiving.recv(65536))
        pushing.join()
        return time.monotonic() - begin


# From the start, and to the end

SLOW = """
[hosts.a]
[hosts.b]
[hosts.c]
[[networks]]
hosts = ["a", "b", "c"]
impair = { delay_ms = 20 }
impair_to = { c = { block_udp = true } }
"""


def test_a_network_is_from_the_start_what_its_description_says(tmp_path: Path) -> None:
    require_root()
    with Lab(read("slow.toml", SLOW), tmp_path) as lab:
        recorded = [process for process in lab._built().record.processes if is_alive(process)]
        assert len(recorded) == 2
        assert 40 <= round_trip(lab["a"], str(lab["b"].v4.ip)) < 400
        assert 20 <= round_trip(lab["a"], str(lab["c"].v4.ip)) < 200
        with datagrams((lab["a"], 0), (lab["c"], 0), (lab["b"], 0)) as (a, c, b):
            a.send(c.address, "blocked")
            a.send(b.address, "end")
            assert b.until("end") == c.come() == []
    assert not any(is_alive(process) for process in recorded)
    assert list(tmp_path.iterdir()) == []


def test_what_is_over_leaves_no_rule(lab: Lab) -> None:
    everything = Impairment(20, 5, 10, 1, 2, 50, block_udp=True)
    lab.impair(0, everything)
    lab.impair(0)

    for host in lab.hosts.values():
        assert host.run(["nft", "list", "tables"]).stdout.replace("table netdev pulse-outage-eth0\n", "") == ""
        assert "tbf" not in host.run(["tc", "qdisc"]).stdout
        assert "gso_max_segs 65535" in host.run(["ip", "-d", "link", "show", "eth0"]).stdout


def test_a_network_that_is_not_there_and_a_value_that_cannot_be_are_named(lab: Lab) -> None:
    with pytest.raises(NotFound, match=r"there is no networks\[1\] here: this lab has 1"):
        lab.impair(1, Impairment(delay_ms=5))
    with pytest.raises(NotFound, match=r"c is not on networks\[0\] \(there are: a, b\)"):
        lab.interrupt(0, 1, to="c")
    with pytest.raises(ConfigError, match=r"networks\[0\].impair.loss_percent: 101 is not between 0 and 100"):
        lab.impair(0, Impairment(loss_percent=101))
