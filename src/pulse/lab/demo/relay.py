"""The second act: two nodes that reach the relay alone, what the relay sees of them, and how they do without it.

Invariant: one TCP connection lasts from the first of these steps to the last, hashed at both ends; and wherever nothing
is found, the same instrument finds it where it must be.
"""

import os
import secrets
import signal
import time
from typing import Final

from pulse.errors import PulseError
from pulse.lab import stream
from pulse.lab.capture import Search, searched
from pulse.lab.demo.stage import PORT, Scene, Step, ping, seen_by, sees, status
from pulse.lab.host import wait_until
from pulse.lab.memory import Searched, search
from pulse.lab.stream import Stream

PACE: Final = 40.0
"""Mbit/s of the transfer that is watched: a few thousand packets a second, so that a capture misses none."""

_WATCHED: Final = 4 << 20
"""Bytes that pass while the relay is looked into."""

_AFTERWARDS: Final = 8 << 20
"""Bytes that still have to pass once the relay is dead: well over a second of them."""


def _join_behind(scene: Scene) -> tuple[str, str]:
    """The server reaches the relay alone, and so does the laptop."""
    token = scene.relay.pulse("token", "create", "--ttl", "1h", "--max-uses", "1").stdout.split()[-1]
    door = f"{scene.relay.ports[2].v4.ip}:{PORT}"
    scene.server.pulse("join", door, "--token", token)
    begin = time.monotonic()
    scene.server.pulse("start", "--tun", "--listen", f":{PORT}")
    wait_until(
        lambda: sees(scene.laptop, "server") and sees(scene.server, "laptop"), "laptop and server see each other"
    )
    took = time.monotonic() - begin
    ways = [seen_by(scene.laptop, "server"), seen_by(scene.server, "laptop")]
    if [row.via for row in ways] != ["relay", "relay"]:
        raise PulseError(f"laptop and server are not linked over the relay: {ways}")
    return f"linked over relay after {took:.1f} s", "pulse start --tun; pulse status"


def _ping_over_relay(scene: Scene) -> tuple[str, str]:
    node = status(scene.server).node
    scene.outcome.relay_ping_ms = max(ping(scene.laptop, address) for address in (node.v6, node.v4))
    scene.outcome.relay_ping = True
    scene.laptop.pulse("trace", "server")
    return f"{scene.outcome.relay_ping_ms:.2f} ms", f"ping {node.v4}, and {node.v6}; pulse trace server"


def _look_into_relay(scene: Scene) -> tuple[str, str]:
    canary = secrets.token_hex(16).encode()
    address = status(scene.server).node.v4
    with (
        searched(scene.relay, canary) as passing,
        searched(scene.server, canary, "pulse0") as arriving,
    ):
        scene.stream = stream.begin(scene.laptop, scene.server, address, mbit=PACE, text=canary)
        scene.stream.wait_moving(_WATCHED)
        held = search(scene.relay.pulse_pid, canary)
        received = search(scene.stream.receiver.process.pid, canary)
    judge_canary(passing, arriving, held, received)
    scene.outcome.canary_absent = True
    return (
        f"{passing.packets:,} packets, {held.size / 1e6:.0f} MB of memory, no word of it",
        "every packet on every interface of the relay, and all its memory, searched for the text that was sent",
    )


def judge_canary(passing: Search, arriving: Search, held: Searched, received: Searched) -> None:
    """Was it nowhere at the relay, and where it must be at the server? Raises PulseError."""
    if passing.found or held.found:
        raise PulseError(f"the relay saw the text in {passing.found} packets and held it {held.found} times")
    if not (passing.packets > 100 and arriving.found and received.found and held.size):
        raise PulseError(f"nobody looked: {passing}, {arriving}, {held}, {received}")


def _join_network(scene: Scene) -> tuple[str, str]:
    under_way = _stream(scene)
    begin = time.monotonic()
    scene.lab.join_network("laptop", "server")
    wait_until(lambda: _is_direct(scene), "laptop and server have a direct path")
    took = time.monotonic() - begin
    under_way.wait_moving(1 << 20)
    scene.outcome.direct_after_join = True
    silence = under_way.longest_gap(begin)
    return f"direct after {took:.1f} s, never silent for more than {silence * 1000:.0f} ms", "pulse status, meanwhile"


def _kill_relay(scene: Scene) -> tuple[str, str]:
    under_way = _stream(scene)
    os.kill(scene.relay.pulse_pid, signal.SIGKILL)
    under_way.wait_moving(_AFTERWARDS)
    seen = under_way.finish()
    scene.stream = None
    if not seen.hash_equal:
        raise PulseError(f"what arrived is not what was sent: {seen.sent} and {seen.received}")
    scene.outcome.direct_survives_relay_kill = True
    return f"{seen.received.size / 1e6:.0f} MB by one connection, SHA-256 equal", "kill -9, at the relay"


def _relay_returns(scene: Scene) -> tuple[str, str]:
    begin = time.monotonic()
    scene.relay.pulse("start", "--ca", "--tun", "--addr", f"{scene.relay.v4.ip}:{PORT}", "--listen", f":{PORT}")
    hosts = (scene.laptop, scene.server)
    wait_until(lambda: all(sees(scene.relay, host.name) and sees(host, "relay") for host in hosts), "all see the relay")
    return f"all linked after {time.monotonic() - begin:.1f} s", "pulse start --ca --tun"


def _is_direct(scene: Scene) -> bool:
    rows = (seen_by(scene.laptop, "server"), seen_by(scene.server, "laptop"))
    return all(row.reached and not row.via for row in rows)


def _stream(scene: Scene) -> Stream:
    if scene.stream is None:
        raise PulseError("there is no transfer under way")
    return scene.stream


STEPS: Final = (
    Step("a third node, on a network that reaches the relay alone", _join_behind),
    Step("ping over the relay", _ping_over_relay),
    Step("a transfer over the relay, and a look into the relay", _look_into_relay),
    Step("both are put on one network, in mid-transfer", _join_network),
    Step("the relay is killed, in mid-transfer", _kill_relay),
    Step("the relay comes back", _relay_returns),
)
