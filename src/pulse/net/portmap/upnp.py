"""UPnP Internet Gateway Devices, version 1 and 2: mappings by SOAP.

    SSDP -> description -> services WANIPConnection:2, :1, WANPPPConnection:1 -> the first with a connection that is up

Sources: UPnP-gw-WANIPConnection-v1 and -v2. Invariant: a mapping is asked for at one outer port, never at the wildcard
0, which would open all of them.
"""

import re
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import Element

from pulse.core.paths.portmap import LEASE, Gateway, Grant, Mapper, PortRefused
from pulse.errors import LinkError, ProtocolError
from pulse.net.portmap import ssdp
from pulse.net.portmap.soap import envelope, leaves, read
from pulse.net.portmap.web import Place, fetch, place_of

if TYPE_CHECKING:
    from random import Random

MOST_SERVICES: Final = 8
"""Connections of one router that are tried."""

TRIES: Final = 4
"""Outer ports asked for before the router is given up."""

LEAST_PORT: Final = 1024
"""Routers keep what is below for themselves."""

_KIND = re.compile(r"urn:[a-z0-9-]{1,32}:service:(WANIPConnection|WANPPPConnection):([12])")
_BEST: Final = ("WANIPConnection2", "WANIPConnection1", "WANPPPConnection1")
_UP: Final = frozenset({"connected", "up"})
_NAMES: Final = {socket.IPPROTO_UDP: "UDP", socket.IPPROTO_TCP: "TCP"}

_OK, _FAULT = 200, 500
_PERMANENT_ONLY: Final = frozenset({402, 725})
"""What routers say that know leases without an end only (402 is what some say instead)."""
_TAKEN: Final = frozenset({718, 724, 729})
"""Another has that outer port, or it has to be the same as the inner one."""
_REASONS: Final = {
    606: "the router's owner does not allow it",
    728: "the router has no room for more mappings",
}


class Fault(PortRefused):
    """The error of a SOAP action, by its number."""

    def __init__(self, code: int) -> None:
        super().__init__(_REASONS.get(code, f"the router refuses (UPnP error {code})"))
        self.code = code


@dataclass(frozen=True, slots=True)
class Service:
    """A connection of the router to the outside."""

    place: Place
    kind: str
    """URN."""

    @property
    def chooses(self) -> bool:
        """True if the router itself finds an outer port that is free (AddAnyPortMapping)."""
        return self.kind.endswith(":WANIPConnection:2")


def services(description: Element, gateway: Gateway, place: Place) -> list[Service]:
    """List the connections a description names, best first; those at other places than the gateway are none."""
    found: list[tuple[int, Service]] = []
    base = leaves(description).get("URLBase", "")
    for each in description.iter("service"):
        fields = leaves(each)
        named = _KIND.fullmatch(fields.get("serviceType", ""))
        if named is None or (kind := named[1] + named[2]) not in _BEST:
            continue
        try:
            near = place_of(base, gateway) if base else place
            found.append((_BEST.index(kind), Service(place_of(fields.get("controlURL", ""), gateway, near), named[0])))
        except ProtocolError:
            continue
    return [service for _, service in sorted(found, key=lambda each: each[0])[:MOST_SERVICES]]


@dataclass(slots=True)
class Upnp:
    """A router that speaks UPnP."""

    port: int
    """Of ours."""
    random: "Random"
    _gateway: Gateway | None = None
    _service: Service | None = field(default=None)
    """The connection that was up, at that gateway."""

    async def find(self, gateway: Gateway) -> None:
        """Return if it is spoken there. Raises LinkError, ProtocolError or PortRefused."""
        self._gateway, self._service = gateway, None
        place = await ssdp.find(gateway)
        status, body = await fetch(gateway, place)
        if status != _OK:
            raise ProtocolError(f"the router does not give its description: HTTP {status}")
        for service in services(read(body), gateway, place):
            if await self._is_up(gateway, service):
                self._service = service
                return
        raise PortRefused("the router has no connection to the outside")

    async def map(self, gateway: Gateway, protocol: int, wish: int) -> Grant:
        """Map our port, at `wish` if that is free. Raises LinkError, ProtocolError or PortRefused."""
        service = await self._known(gateway)
        port = await self._add(gateway, service, protocol, wish)
        try:
            epoch, outer = await self.look(gateway)
        except (LinkError, ProtocolError, PortRefused):
            # Some routers keep a mapping for ever, and nobody would know of this one.
            with suppress(LinkError, ProtocolError, PortRefused):
                await self.unmap(gateway, protocol, port)
            raise
        return Grant(Mapper.UPNP, outer or IPv4Address(0), port, LEASE, epoch)

    async def look(self, gateway: Gateway) -> tuple[float | None, IPv4Address | None]:
        """Ask how long the connection has been up, and for the outer address. Raises as `map` does."""
        service = await self._known(gateway)
        outer = (await self._call(gateway, service, "GetExternalIPAddress")).get("NewExternalIPAddress", "")
        try:
            address = IPv4Address(outer)
        except ValueError as error:
            raise ProtocolError("the router's outer address is none") from error
        return await self._uptime(gateway, service), address

    async def unmap(self, gateway: Gateway, protocol: int, port: int) -> None:
        """End the mapping at an outer port. Raises LinkError, ProtocolError or PortRefused."""
        about = {"NewRemoteHost": "", "NewExternalPort": port, "NewProtocol": _NAMES[protocol]}
        await self._call(gateway, await self._known(gateway), "DeletePortMapping", about)

    # Details

    async def _known(self, gateway: Gateway) -> Service:
        if self._service is None or self._gateway != gateway:
            await self.find(gateway)
        if self._service is None:
            raise LinkError("the router speaks no UPnP")
        return self._service

    async def _is_up(self, gateway: Gateway, service: Service) -> bool:
        try:
            status = await self._call(gateway, service, "GetStatusInfo")
        except PortRefused:
            return False
        return status.get("NewConnectionStatus", "").lower() in _UP

    async def _uptime(self, gateway: Gateway, service: Service) -> float | None:
        uptime = (await self._call(gateway, service, "GetStatusInfo")).get("NewUptime", "")
        return float(uptime) if uptime.isascii() and uptime.isdecimal() and len(uptime) < 10 else None

    async def _add(self, gateway: Gateway, service: Service, protocol: int, wish: int) -> int:
        """Ask for one outer port after another; the one that was given."""
        lease, refusal = int(LEASE), None
        ports = [wish, self.port, *(self.random.randrange(LEAST_PORT, 65536) for _ in range(TRIES))]
        for port in [each for each in dict.fromkeys(ports) if each >= LEAST_PORT][:TRIES]:
            try:
                return await self._add_one(gateway, service, protocol, port, lease)
            except Fault as error:
                refusal = error
                if error.code in _PERMANENT_ONLY and lease:
                    lease = 0
                elif error.code not in _TAKEN:
                    raise
        raise refusal or PortRefused("the router has no outer port for us")

    async def _add_one(self, gateway: Gateway, service: Service, protocol: int, port: int, lease: int) -> int:
        arguments = {
            "NewRemoteHost": "",
            "NewExternalPort": port,
            "NewProtocol": _NAMES[protocol],
            "NewInternalPort": self.port,
            "NewInternalClient": gateway.source,
            "NewEnabled": 1,
            "NewPortMappingDescription": "pulse",
            "NewLeaseDuration": lease,
        }
        action = "AddAnyPortMapping" if service.chooses else "AddPortMapping"
        given = (await self._call(gateway, service, action, arguments)).get("NewReservedPort", str(port))
        return int(given) if given.isascii() and given.isdecimal() and len(given) < 6 else 0

    async def _call(
        self, gateway: Gateway, service: Service, action: str, arguments: dict[str, object] | None = None
    ) -> dict[str, str]:
        content = envelope(service.kind, action, arguments or {})
        headers = (("Content-Type", 'text/xml; charset="utf-8"'), ("SOAPAction", f'"{service.kind}#{action}"'))
        try:
            status, body = await fetch(gateway, service.place, content, headers)
        except LinkError:
            # A router that restarted may have its services elsewhere.
            self._service = None
            raise
        if status == _OK:
            return leaves(read(body))
        if status != _FAULT:
            self._service = None
            raise ProtocolError(f"the router does not do {action}: HTTP {status}")
        code = leaves(read(body)).get("errorCode", "")
        raise Fault(int(code) if code.isascii() and code.isdecimal() and len(code) < 6 else 0)
