"""`pulse trace` against a control socket: hop by hop, and what it says of a way that ends."""

import json

import msgspec

from pulse.errors import ConfigError, LinkError, NotFound
from pulse.schemas.paths import Trace, TraceHop, TraceRequest
from pulse.wording import DASH
from tests.api.fake_control import FakeControl
from tests.cli.shell import Shell


def test_every_hop_is_a_line_under_what_was_measured(shell: Shell, control: FakeControl) -> None:
    done = shell.node("trace", "laptop")

    assert (done.code, done.err) == (0, "")
    first, _, header, relay, laptop = done.out.splitlines()
    assert first == "laptop (10.100.9.140) is 2 hops away and answered in 61.0 ms."
    assert header.split() == ["HOP", "NODE", "ADDRESS", "LINK", "RTT", "TOTAL", "LOSS"]
    assert relay.split() == ["1", "relay-01", "10.100.41.7", "quic", "22.8", "ms", "22.8", "ms", "0", "%"]
    assert laptop.split() == ["2", "laptop", "10.100.9.140", "websocket", "38.0", "ms", "60.8", "ms", "0.4", "%"]
    assert control.asked == [TraceRequest("laptop", 3.0)]


def test_a_way_that_ends_is_shown_so_far_and_why_and_is_an_error(shell: Shell, control: FakeControl) -> None:
    control.ways.way = msgspec.structs.replace(
        control.ways.way, hops=control.ways.way.hops[:1], rtt=None, problem="relay-01 has no path to laptop"
    )
    done = shell.node("trace", "laptop")

    assert done.code == LinkError.exit_code
    lines = done.out.splitlines()
    assert lines[0] == "laptop (10.100.9.140) does not answer."
    assert lines[3].split()[1] == "relay-01"
    assert lines[-1] == "relay-01 has no path to laptop"


def test_what_a_hop_does_not_know_is_a_dash(shell: Shell, control: FakeControl) -> None:
    unknown = TraceHop("7" * 64, "777777777777", "", "quic", None, 0.0, None)
    control.ways.way = msgspec.structs.replace(control.ways.way, hops=[unknown])

    assert shell.node("trace", "laptop").out.splitlines()[3].split() == [
        "1", "7" * 12, DASH, "quic", DASH, DASH, "0", "%"
    ]  # fmt: skip


def test_json_is_the_whole_answer(shell: Shell, control: FakeControl) -> None:
    answer = json.loads(shell.node("trace", "laptop", "--json").out)

    assert msgspec.convert(answer, Trace) == control.ways.way


def test_nobody_is_not_found(shell: Shell, control: FakeControl) -> None:
    done = shell.node("trace", "nobody")

    assert done.code == NotFound.exit_code
    assert done.err == 'error: no node is called "nobody". See the nodes: pulse status\n'


def test_a_minute_for_each_hop_is_refused(shell: Shell, control: FakeControl) -> None:
    assert shell.node("trace", "laptop", "--timeout", "60").code == ConfigError.exit_code
    assert control.asked == []
