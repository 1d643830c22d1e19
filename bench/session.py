"""How fast a stream of a session is, as SOCKS and forwards will use it: `bench/session.py --json`.

Bare data planes take the place of daemons, with the certificates real ones were
given. Invariant: every plane is a process of its own, and the bytes go in and come out by sockets that Rust splices.
"""

import argparse
import json
import select
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from pulse._dataplane import Dataplane
from pulse.errors import PulseError
from pulse.lab.host import Host, Running, wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import RELAY
from pulse.net.sockets import bind_udp
from pulse.store import identity
from pulse.store.identity import Identity
from rig import PORT, admit, found, gbit, iperf_server, main, median, processor_times, stolen, transfer

PATIENCE = 30.0
PIECE = 1 << 20
TABLES_AGREE = 0.5
"""Seconds after its link is up for the others to know of it."""


class Result(msgspec.Struct):
    """Medians, and all values they come from."""

    raw_gbit: float
    session_gbit: float
    session_relay_gbit: float
    ratio: float
    steal_percent: float
    rounds: list[tuple[float, float, float]]
    """Cable, direct, over a relay."""


def measure(options: argparse.Namespace) -> Result:
    """Let real daemons fetch certificates, then put planes in their places."""
    before = processor_times()
    with Lab(RELAY) as lab:
        relay, left, right = lab["relay"], lab["left"], lab["right"]
        found(relay)
        for host in (left, right):
            admit(host, relay)
            host.pulse("stop")
        relay.pulse("stop")
        with iperf_server(relay):
            rounds = [
                (
                    gbit(transfer(left, str(relay.v4.ip), options.seconds)),
                    stream([left, relay], options.seconds),
                    stream([left, relay, right], options.seconds),
                )
                for _ in range(options.rounds)
            ]
    return Result(
        raw_gbit=median([raw for raw, _, _ in rounds], 2),
        session_gbit=median([direct for _, direct, _ in rounds], 2),
        session_relay_gbit=median([relayed for _, _, relayed in rounds], 2),
        ratio=median([direct / raw for raw, direct, _ in rounds]),
        steal_percent=stolen(before, processor_times()),
        rounds=rounds,
    )


def stream(hosts: list[Host], seconds: float) -> float:
    """Gbit/s of one stream from the first host to the last, each linked with the next."""
    directories = [str(host.data) for host in hosts]
    first, second = hosts[0], hosts[1]
    running = [_plane(second, 1, directories, "", seconds)]
    if len(hosts) > 2:
        running.append(_plane(hosts[2], 2, directories, f"{hosts[2].way_to(second)}:{PORT}", seconds))
        wait_until(lambda: "linked" in running[0].text(), "the relay is linked with the far end")
    running.append(_plane(first, 0, directories, f"{first.way_to(second)}:{PORT}", seconds))
    sender, receiver = running[-1], running[1 if len(hosts) > 2 else 0]
    if sender.wait(seconds + PATIENCE) or receiver.wait(PATIENCE):
        raise PulseError(f"no stream came about:\n{sender.text()}\n{receiver.text()}")
    if len(hosts) > 2:
        running[0].stop()
    taken: dict[str, float] = json.loads(receiver.text().splitlines()[-1])
    return round(taken["size"] * 8 / taken["seconds"] / 1e9, 3)


def _plane(host: Host, place: int, directories: list[str], dial: str, seconds: float) -> Running:
    words = [sys.executable, __file__, "--plane", str(place), "--dial", dial, "--seconds", f"{seconds:g}"]
    running = host.popen([*words, "--chain", *directories])
    wait_until(lambda: running.text() or running.process.poll() is not None, f"a plane is up on {host.name}")
    return running


# A plane


@dataclass
class Plane:
    """One data plane of a chain: its neighbours in it are its only links."""

    place: int
    chain: list[Identity]
    raw: Dataplane = field(init=False)
    links: dict[int, int] = field(default_factory=dict)
    """Our link with the neighbour at each place."""

    def __post_init__(self) -> None:
        me = self.chain[self.place]
        network = me.certificate.network.label
        self.raw = Dataplane(bind_udp("", PORT).detach())
        self.raw.install_trust(list(me.authorities), network, [], me.time_floor)
        self.raw.install_identity(me.chain, me.key_der)

    def wait(self, kind: str) -> tuple[Any, ...]:
        """The fields of the next event of that kind; links that come up meanwhile are put to use."""
        poll = select.poll()
        poll.register(self.raw.fileno(), select.POLLIN)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for event in self.raw.drain(1):
                if event[0] == "LinkUp":
                    self._linked(event[1], event[3])
                if event[0] == kind:
                    return event[1:]
            poll.poll(100)
        raise TimeoutError(f"no {kind} on plane {self.place}")

    def _linked(self, link: int, node: bytes) -> None:
        ids = [bytes.fromhex(each.certificate.node_id) for each in self.chain]
        self.links[ids.index(node)] = link
        rows = []
        for each, raw in zip(self.chain, ids, strict=True):
            addresses = each.certificate.addresses
            rows += [(f"{addresses.v4}/32", raw, True, True), (f"{addresses.v6}/128", raw, True, True)]
        self.raw.replace_addresses(rows)
        self.raw.replace_routes(
            {
                str(each.certificate.addresses.v4): [(self.links[step], 1, False)]
                for place, each in enumerate(self.chain)
                if (step := self.place + (1 if place > self.place else -1)) in self.links and place != self.place
            }
        )
        print("linked", flush=True)

    def send(self, seconds: float) -> None:
        """Open a stream to the last of the chain and fill it."""
        self.wait("LinkUp")
        time.sleep(TABLES_AGREE)
        opened = self.raw.open_stream(bytes.fromhex(self.chain[-1].certificate.node_id), b"bench")
        self.wait("StreamAccepted")
        near, ours = socket.socketpair()
        self.raw.splice(opened, ours.detach())
        piece, end = bytes(PIECE), time.monotonic() + seconds
        with near:
            while time.monotonic() < end:
                near.sendall(piece)
            near.shutdown(socket.SHUT_WR)
            near.recv(1)

    def take(self) -> None:
        """Take one stream to its end, and say how much it brought in what time."""
        offered, *_ = self.wait("StreamOffered")
        near, ours = socket.socketpair()
        self.raw.accept_stream(offered, ours.detach())
        buffer, size = bytearray(PIECE), 0
        with near:
            size, begin = near.recv_into(buffer), time.monotonic()
            first = size
            while count := near.recv_into(buffer):
                size += count
            spent = time.monotonic() - begin
        print(json.dumps({"size": size - first, "seconds": spent}), flush=True)

    def relay(self) -> None:
        """Pass on what others send, until the end of this process."""
        while True:
            with suppress(TimeoutError):
                self.wait("LinkUp")


def be_plane(place: int, directories: list[str], dial: str, seconds: float) -> None:
    """Be one plane of a stream's way."""
    plane = Plane(place, [identity.load(Path(each)) for each in directories])
    print("up", flush=True)
    if dial:
        plane.raw.dial(dial, None)
    if place == 0:
        plane.send(seconds)
    elif place == len(directories) - 1:
        plane.take()
    else:
        plane.relay()
    plane.raw.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one transfer")
    parser.add_argument("--plane", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--dial", default="", help=argparse.SUPPRESS)
    parser.add_argument("--chain", nargs="*", default=[], help=argparse.SUPPRESS)
    given, _ = parser.parse_known_args()
    if given.plane is None:
        main(parser, measure)
    else:
        be_plane(given.plane, given.chain, given.dial, given.seconds)
