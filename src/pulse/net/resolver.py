"""Tells this machine's own resolver which names pulse answers: systemd-resolved, or openresolv.

Invariant: /etc/resolv.conf is never written; what is set hangs on one interface, and is taken back by its name.
"""

import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Protocol

from pulse.core import addresses
from pulse.errors import SystemRefused
from pulse.net.programs import is_installed, run

DOMAIN: Final = "pulse"

LEAST_VERSION: Final = 246
"""Of systemd: before it, a DNS server had no port."""

DNS_PORT: Final = 53

_NOT_ALLOWED: Final = ("Access denied", "authentication required")
"""What it answers to who is not root, without polkit and with it; a capability is no help on its bus."""

Standing = tuple[int, ...]
"""What is different once settings may be gone: another interface, another resolver, no settings."""


class Resolver(Protocol):
    """A program on this machine that asks one server for some names and others for the rest."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def note(self) -> str:
        """Why programs here may not ask it, and what to do; empty if they do."""
        ...

    def standing(self, device: str) -> Standing | None:
        """What `apply` would have to be done again for if it changed, told without asking it; None: it is not done."""
        ...

    async def apply(self, device: str, server: str, reverse: Sequence[str] = ()) -> None:
        """Ask `server`, host:port, for names under .pulse, as long as `device` is there. Raises SystemRefused.

        So are those of addresses, in the zones `reverse`, by a resolver that can be told of them.
        """
        ...

    async def revert(self, device: str) -> None:
        """As it was before `apply`; nothing to do is no error. Raises SystemRefused."""
        ...


@dataclass(frozen=True, slots=True)
class Resolved:
    """systemd-resolved, by `resolvectl`: its settings of an interface die with the interface."""

    root: Path = Path("/")
    name: str = "systemd-resolved"

    @property
    def _run(self) -> Path:
        return self.root / "run/systemd/resolve"

    def runs(self) -> bool:
        """True if it answers: its socket outlives it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(os.fspath(self._run / "io.systemd.Resolve"))
            except BlockingIOError:
                # It is there, and busy.
                return True
            except OSError:
                return False
        return True

    def note(self) -> str:
        """Resolvers of the C library are told of it by nsswitch.conf, or by a resolv.conf that names its stub."""
        hosts = re.search(r"^hosts:.*\bresolve\b", _text(self.root / "etc/nsswitch.conf"), re.MULTILINE)
        stub = re.search(r"^nameserver\s+127\.0\.0\.5[34]\s*$", _text(self.root / "etc/resolv.conf"), re.MULTILINE)
        if hosts or stub:
            return ""
        return (
            "systemd-resolved runs, but programs here do not ask it: /etc/resolv.conf names other servers.\n"
            "To have them ask it: ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf"
        )

    def standing(self, device: str) -> Standing | None:
        """It writes a file for each interface with settings, anew at each change, and a socket in each life."""
        index = _index(device)
        life = _identity(self._run / "io.systemd.Resolve")
        return (index, *life, *_identity(self._run / "netif" / str(index))) if index and life else None

    async def apply(self, device: str, server: str, reverse: Sequence[str] = ()) -> None:
        """The server comes last: before its limits, it would be asked everything. Raises SystemRefused."""
        await self._check_version(server)
        for command in (
            ("default-route", device, "no"),
            ("dnssec", device, "no"),
            ("dnsovertls", device, "no"),
            ("domain", device, *(f"~{each}" for each in (DOMAIN, *reverse))),
            ("dns", device, server),
        ):
            await self._ask(*command)

    async def revert(self, device: str) -> None:
        """All settings of that interface; without the interface, or without resolved, they are gone."""
        if _index(device) and self.runs():
            await run("resolvectl", "revert", device)

    async def _ask(self, *command: str) -> None:
        try:
            await run("resolvectl", *command)
        except SystemRefused as error:
            if not any(words in str(error) for words in _NOT_ALLOWED):
                raise
            raise SystemRefused(
                f"systemd-resolved takes no settings from the user of this node (uid {os.geteuid()}).\n"
                "Allow it by the rule of polkit that pulse install-service writes for its user (docs/howto/dns.md has "
                "it), or run the node as root. "
                "Or for the whole machine: sudo pulse setup dns --global"
            ) from error

    async def _check_version(self, server: str) -> None:
        said = await run("resolvectl", "--version")
        found = re.match(r"systemd (\d+)", said)
        if found and int(found[1]) < LEAST_VERSION and addresses.split(server)[1] != DNS_PORT:
            raise SystemRefused(
                f"systemd-resolved {found[1]} takes no port for a DNS server; {LEAST_VERSION} and newer do.\n"
                "Let the node answer on port 53: pulse start --tun --dns --dns-listen 127.0.0.1:53"
            )


@dataclass(frozen=True, slots=True)
class Openresolv:
    """openresolv, by `resolvconf`: it splits names only through a server that it writes the configuration of."""

    root: Path = Path("/")
    name: str = "openresolv"

    @property
    def _record(self) -> Path:
        return self.root / "run/resolvconf/interfaces"

    async def is_here(self) -> bool:
        """True if `resolvconf` is openresolv's, and not that of another package."""
        if not is_installed("resolvconf"):
            return False
        try:
            return (await run("resolvconf", "--version")).startswith("openresolv")
        except SystemRefused:
            return False

    def problem(self, server: str) -> str:
        """Why it cannot ask that server for some names only; empty if it can."""
        if ip_address(addresses.split(server)[0]).is_loopback:
            return "openresolv takes no DNS server on a loopback address for a part of the names"
        if not self._separator():
            return "openresolv splits names through dnsmasq or unbound only, and /etc/resolvconf.conf names neither"
        return ""

    def note(self) -> str:
        """Whoever configured a local server there asks it."""
        return ""

    def standing(self, device: str) -> Standing | None:
        """Its record of the interface is a file."""
        index, record = _index(device), _identity(self._record / device)
        return (index, *record) if index and record else None

    async def apply(self, device: str, server: str, reverse: Sequence[str] = ()) -> None:  # noqa: ARG002
        """A private record: its server is for its domain alone. Raises SystemRefused.

        Reverse zones would be domains that programs search names in, too, so it is told of none.
        """
        host, port = addresses.split(server)
        named = host if port == DNS_PORT else f"{host}{self._separator()}{port}"
        await run("resolvconf", "-p", "-a", device, said=f"domain {DOMAIN}\nnameserver {named}\n")

    async def revert(self, device: str) -> None:
        """The record outlives the interface, and us."""
        await run("resolvconf", "-f", "-d", device)

    def _separator(self) -> str:
        """What stands before the port in the configuration that openresolv writes; empty if it writes none of these."""
        settings = _text(self.root / "etc/resolvconf.conf")
        for program, separator in (("dnsmasq", "#"), ("unbound", "@")):
            wanted = re.search(rf"^\s*{program}_conf=.", settings, re.MULTILINE)
            if wanted and is_installed(program):
                return separator
        return ""


async def found(servers: Sequence[str], root: Path = Path("/")) -> tuple[Resolver, str]:
    """What splits names on this machine, and which of `servers`, the nearest first, it can be told of.

    Raises SystemRefused with what to type instead.
    """
    resolved, openresolv = Resolved(root), Openresolv(root)
    if resolved.runs():
        return resolved, servers[0]
    if not await openresolv.is_here():
        raise SystemRefused(_hint("neither systemd-resolved nor openresolv runs here", servers[0]))
    if problem := openresolv.problem(servers[-1]):
        raise SystemRefused(_hint(problem, servers[0]))
    return openresolv, servers[-1]


def named(name: str, root: Path = Path("/")) -> Resolver | None:
    """The one of that name, whether it runs or not."""
    return next((each for each in (Resolved(root), Openresolv(root)) if each.name == name), None)


def _hint(problem: str, server: str) -> str:
    host, port = addresses.split(server)
    return (
        f"{problem}, and pulse does not edit /etc/resolv.conf.\n"
        "Tell the resolver of this machine by hand which server has the names under .pulse:\n"
        f"  dnsmasq   server=/{DOMAIN}/{host}#{port}\n"
        f"  unbound   forward-zone: name: {DOMAIN}. forward-addr: {host}@{port}\n"
        "            server: do-not-query-localhost: no, domain-insecure: pulse"
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _index(device: str) -> int:
    try:
        return socket.if_nametoindex(device)
    except OSError:
        return 0


def _identity(path: Path) -> Standing:
    """Which file that is; empty if there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_ctime_ns
