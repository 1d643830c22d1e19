"""An Internet Gateway Device of a test's own making: SSDP, description and SOAP, right or wrong as asked for."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pulse.net.portmap.soap import leaves, read
from tests.net.portmap.cable import ROUTER, Cable

SSDP, HTTP = 1900, 5000

SERVICE = """<service><serviceType>{kind}</serviceType><serviceId>x</serviceId>
<controlURL>{control}</controlURL><eventSubURL>/e</eventSubURL><SCPDURL>/s</SCPDURL></service>"""
V1 = "urn:schemas-upnp-org:service:WANIPConnection:1"
V2 = "urn:schemas-upnp-org:service:WANIPConnection:2"
PPP = "urn:schemas-upnp-org:service:WANPPPConnection:1"


def description(*services: tuple[str, str], base: str = "") -> bytes:
    """A device description with these services, each a kind and a control address."""
    inside = "".join(SERVICE.format(kind=kind, control=control) for kind, control in services)
    first = f"<URLBase>{base}</URLBase>" if base else ""
    return (
        f'<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0">{first}<device><deviceList><device>'
        f"<serviceList>{inside}</serviceList></device></deviceList></device></root>"
    ).encode()


@dataclass
class Igd:
    """A device: what it has mapped, and how it misbehaves."""

    services: tuple[tuple[str, str], ...] = ((V1, "/ctl"),)
    location: str = f"http://{ROUTER}:{HTTP}/root.xml"
    page: bytes = b""
    """Instead of its description."""
    redirect: str = ""
    """Where it sends who asks for its description."""
    outer: str = "203.0.113.7"
    status: str = "Connected"
    down: str = ""
    """The control address of a connection that is not up."""
    uptime: str = "1000"
    taken: frozenset[int] = frozenset()
    tcp_taken: frozenset[int] = frozenset()
    """Outer ports of others; the second ones for TCP alone."""
    permanent_only: int = 0
    """The error it gives to leases that end."""
    error: int = 0
    """The error it gives to every mapping."""
    reserved: str = ""
    """The port it says it gave, whatever it was asked for."""
    mapped: dict[tuple[str, int], str] = field(default_factory=dict)
    """Inner address, port and lease by protocol and outer port."""
    calls: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def runs(self, cable: Cable) -> AsyncIterator["Igd"]:
        """It is at the router's end of the cable."""
        answer = (
            f"HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLOCATION: {self.location}"
            "\r\n\r\n"
        ).encode()
        async with cable.serves(HTTP, self.serve):
            with cable.says(SSDP, lambda _: [answer]):
                yield self

    def serve(self, request: bytes) -> Iterator[bytes]:
        """Answer one request."""
        head, _, content = request.partition(b"\r\n\r\n")
        if self.redirect:
            yield f"HTTP/1.1 301 Moved\r\nLocation: {self.redirect}\r\nContent-Length: 0\r\n\r\n".encode()
            return
        if not content:
            page = self.page or description(*self.services)
            yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(page) + page
            return
        action = next(line for line in head.decode().split("\r\n") if line.lower().startswith("soapaction:"))
        name = action.rpartition("#")[2].rstrip('"')
        self.calls.append(name)
        code, said = self.act(name, leaves(read(content)))
        if self.down and head.startswith(f"POST {self.down} ".encode()) and name == "GetStatusInfo":
            said = {"NewConnectionStatus": "Disconnected"}
        words = "".join(f"<{key}>{value}</{key}>" for key, value in said.items())
        if code:
            words = f"<s:Fault><detail><UPnPError><errorCode>{code}</errorCode></UPnPError></detail></s:Fault>"
        page = f'<s:Envelope xmlns:s="x"><s:Body><u:R xmlns:u="y">{words}</u:R></s:Body></s:Envelope>'.encode()
        status = b"500 Error" if code else b"200 OK"
        yield b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(page)) + page

    def act(self, action: str, given: dict[str, str]) -> tuple[int, dict[str, str]]:
        """Do one action: the error or 0, and what it says."""
        match action:
            case "GetStatusInfo":
                return 0, {"NewConnectionStatus": self.status, "NewUptime": self.uptime}
            case "GetExternalIPAddress":
                return 0, {"NewExternalIPAddress": self.outer}
            case "AddPortMapping" | "AddAnyPortMapping":
                return self.map(given)
            case "DeletePortMapping":
                gone = self.mapped.pop((given["NewProtocol"], int(given["NewExternalPort"])), None)
                return (0 if gone else 714), {}
            case _:
                return 401, {}

    def map(self, given: dict[str, str]) -> tuple[int, dict[str, str]]:
        """Map a port, unless something is against it."""
        port, lease = int(given["NewExternalPort"]), given["NewLeaseDuration"]
        assert 0 < port < 65536, "never the wildcard"
        if self.error:
            return self.error, {}
        if self.permanent_only and lease != "0":
            return self.permanent_only, {}
        if port in self.taken or (given["NewProtocol"] == "TCP" and port in self.tcp_taken):
            return 718, {}
        inner = f"{given['NewInternalClient']}:{given['NewInternalPort']} for {lease}"
        self.mapped[given["NewProtocol"], port] = inner
        return 0, {"NewReservedPort": self.reserved or str(port)}
