"""SSDP (UPnP Device Architecture 2.0, §1): where the gateway's description is.

Invariant: only the gateway's own answers count, and only if they name a place at the gateway itself.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Final

from pulse.core.paths.portmap import Gateway
from pulse.errors import LinkError, ProtocolError
from pulse.net.portmap.datagrams import DATAGRAM_LIMIT, bound
from pulse.net.portmap.web import Place, place_of

PORT: Final = 1900
GROUP: Final = "239.255.255.250"

PAUSES: Final = (0.5, 1.0, 1.0)
"""Seconds after which it is asked again, and given up; an answer to the group may take its time (MX)."""

MOST_ANSWERS: Final = 64
"""Datagrams listened to, for every device of a large network may answer."""

_DEVICES: Final = ("InternetGatewayDevice:1", "InternetGatewayDevice:2")
_SEARCH: Final = (
    'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: {target}\r\n\r\n'
)
_DEVICE: Final = "urn:schemas-upnp-org:device:"
_OURS: Final = (":InternetGatewayDevice:", ":WANConnectionDevice:", ":WANIPConnection:", ":WANPPPConnection:")


def search(target: str) -> bytes:
    """Word the search for devices of a kind."""
    return _SEARCH.format(target=target).encode("ascii")


def read_answer(data: bytes, gateway: Gateway) -> Place | None:
    """Read where an answer says the description is; None if it is about another device. Raises ProtocolError."""
    lines = data.decode("latin-1").split("\r\n")
    if not (lines[0].startswith("HTTP/1.") and lines[0].split()[1:2] == ["200"]):
        raise ProtocolError("an SSDP answer that is none")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    kind = fields.get("st", "") + fields.get("usn", "")
    if not any(each in kind for each in _OURS):
        return None
    return place_of(fields.get("location", ""), gateway)


async def find(gateway: Gateway) -> Place:
    """Find the gateway's description. Raises LinkError if nothing came, ProtocolError if only nonsense did."""
    nonsense: list[ProtocolError] = []
    try:
        with bound(gateway, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, gateway.source.packed)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 2)
            for pause in PAUSES:
                await _ask(sock, gateway)
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        return await _hear(sock, gateway, nonsense)
    except OSError as error:
        raise LinkError(f"the router cannot be searched for: {error.strerror or error}") from error
    raise nonsense[-1] if nonsense else LinkError("the router speaks no UPnP")


async def _ask(sock: socket.socket, gateway: Gateway) -> None:
    """The gateway first, so that a firewall of ours lets its answer in; some hear only one of the two."""
    loop = asyncio.get_running_loop()
    for host in (str(gateway.address), GROUP):
        for device in _DEVICES:
            await loop.sock_sendto(sock, search(_DEVICE + device), (host, PORT))


async def _hear(sock: socket.socket, gateway: Gateway, nonsense: list[ProtocolError]) -> Place:
    for _ in range(MOST_ANSWERS):
        data, (host, *_rest) = await asyncio.get_running_loop().sock_recvfrom(sock, DATAGRAM_LIMIT)
        if host != str(gateway.address):
            continue
        try:
            if place := read_answer(data, gateway):
                return place
        except ProtocolError as error:
            nonsense.append(error)
    raise LinkError("too many devices answer")
