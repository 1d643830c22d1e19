"""The last stretch to one port of a host: what is lost, slow or late on a network is so here.

Invariant: only what is on its way to the port is touched, so each direction of a network has its own say; interfaces
stay as they are, and programs that run on hosts notice nothing but the packets. Loss is by nftables where packets come
in; delay, and loss in bursts, by a program where they are sent; the rate by a token bucket after that.
"""

import signal
from typing import Final

import msgspec

from pulse.errors import PulseError
from pulse.lab import namespaces
from pulse.lab.delay import MARK, READY, command
from pulse.lab.host import Host, Running, wait_until
from pulse.lab.impairment import NONE, Impairment
from pulse.lab.plan import Port

SHARES: Final = 10_000_000
"""Into so many parts chance is divided."""

_UNLIMITED_BATCH: Final = 65_535
"""As many packets in one as an interface takes from the start."""

_WAITING: Final = 10_000
"""Packets that may wait for the program that delays them; more are dropped."""


class Line:
    """What leads to `port` of `host`; `sender` (a host, or a switch) is at the far end of that cable."""

    def __init__(self, host: Host, port: Port, sender: Host, interface: str, mtu: int) -> None:
        self._host, self._port, self.sender, self._interface, self._mtu = host, port, sender, interface, mtu
        self._now = NONE
        self._delaying: Running | None = None
        self._orders = 0

    def impair(self, what: Impairment) -> None:
        """Treat packets like this from now on. Raises SystemRefused."""
        before = self._now
        # A batch that counts as one packet would be lost or queued as one.
        batch = 1 if what.loss_percent or what.rate_mbit else _UNLIMITED_BATCH
        namespaces.batch(self.sender.namespace, [f"link set {self._interface} gso_max_segs {batch}"])
        namespaces.load_rules(self._host.namespace, loss_rules(self._port.interface, what))
        if what.rate_mbit != before.rate_mbit:
            namespaces.limit_rate(self.sender.namespace, self._interface, what.rate_mbit)
        if what.by_program:
            self._instruct(what)
        if what.by_program != before.by_program:
            rules = delay_rules(self._interface, self._tap if what.by_program else None)
            namespaces.load_rules(self.sender.namespace, rules)
        self._now = what

    def interrupt(self, seconds: float) -> None:
        """Let nothing at all arrive for a while; the kernel ends it. Raises SystemRefused."""
        namespaces.load_rules(self._host.namespace, outage_rules(self._port.interface, seconds))

    @property
    def _tap(self) -> str:
        return f"delay-{self._interface}"

    def _instruct(self, what: Impairment) -> None:
        """Tell the program that delays how long, and wait until it knows; started once, it stays until the lab ends."""
        file = self.sender.directory / f"{self._tap}.json"
        draft = file.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(what))
        draft.replace(file)
        self._orders += 1
        if self._delaying is None:
            self._delaying = self.sender.popen(command(self._interface, self._tap, file))
            self._wait_for(self._delaying)
            settings = f"mtu {self._mtu} txqueuelen {_WAITING} up"
            namespaces.batch(self.sender.namespace, [f"link set {self._tap} {settings}"])
        else:
            self._delaying.process.send_signal(signal.SIGHUP)
            self._wait_for(self._delaying)

    def _wait_for(self, program: Running) -> None:
        def answered() -> bool:
            return program.text().count(READY) >= self._orders or program.process.poll() is not None

        wait_until(answered, f"the program that delays packets to {self._host.name} knows how long")
        if program.process.poll() is not None:
            raise PulseError(f"nothing delays packets to {self._host.name} any more:\n{program.text()}")


def delay_rules(interface: str, tap: str | None) -> str:
    """Word what turns packets that an interface is about to send to a TAP, unless they were there; None ends that."""
    lines = [f'meta mark != {MARK:#x} fwd to "{tap}"'] if tap else []
    return _table(f"pulse-delay-{interface}", f'egress device "{interface}"', lines)


def loss_rules(interface: str, what: Impairment) -> str:
    """Word what drops packets that arrive at an interface, in place of what did before."""
    lines = []
    if what.block_udp:
        lines.append("meta l4proto udp drop")
    if what.loss_percent and what.burst == 1:
        # Who is not even found at once does not show what loss does.
        lines += [
            "meta protocol != { ip, ip6 } accept",
            "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
        ]
        lines.append(f"{_with_chance(what.loss_percent / 100)} drop")
    return _table(f"pulse-loss-{interface}", f'ingress device "{interface}"', lines)


def outage_rules(interface: str, seconds: float) -> str:
    """Word what drops all that arrives at an interface until that time is over."""
    now = f"""\
	set now {{
		type ifname
		flags timeout
		elements = {{ "{interface}" timeout {max(1, round(seconds * 1000))}ms }}
	}}
"""
    return _table(f"pulse-outage-{interface}", f'ingress device "{interface}"', ["iifname @now drop"], now)


def _with_chance(share: float) -> str:
    """What is true for that share of packets; nftables takes neither none nor all of them for a share."""
    return "" if share == 1 else f"numgen random mod {SHARES} < {min(max(1, round(SHARES * share)), SHARES - 1)}"


def _table(name: str, hook: str, lines: list[str], more: str = "") -> str:
    """Word a table with one chain, in place of the one it was; no table at all if the chain says nothing."""
    rules = "".join(f"\t\t{line}\n" for line in lines)
    made = f"table netdev {name} {{\n{more}\tchain judge {{\n\t\ttype filter hook {hook} priority 0\n{rules}\t}}\n}}\n"
    return f"table netdev {name}\ndelete table netdev {name}\n" + (made if lines else "")
