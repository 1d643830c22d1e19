"""A home router of the lab: one of its NATs, with Debian's miniupnpd to open ports in it.

Invariant: all of it lives in the router's own namespace: address, nft tables, configuration and daemon.
"""

import os
import signal
from dataclasses import dataclass
from ipaddress import IPv4Interface
from typing import Final

from pulse.lab.host import Host, wait_until
from pulse.lab.namespaces import forget_connections
from pulse.lab.state import identify

OUTSIDE: Final = IPv4Interface("25.18.0.1/24")
NEXT_DOOR: Final = IPv4Interface("25.18.0.2/24")
"""Addresses of the Internet that nobody announces: miniupnpd gives no port at one that is set aside for tests."""

TABLES: Final = """
table inet miniupnpd {
chain forward {
type filter hook forward priority 0
jump miniupnpd
}
chain miniupnpd {
}
chain prerouting {
type nat hook prerouting priority -110
jump prerouting_miniupnpd
}
chain postrouting {
type nat hook postrouting priority 110
jump postrouting_miniupnpd
}
chain prerouting_miniupnpd {
}
chain postrouting_miniupnpd {
}
}
"""

NO_PCP: Final = (
    "table inet nopcp {\nchain in {\ntype filter hook input priority 0\nudp dport 5351 @th,64,8 2 reject\n}\n}\n"
)
"""miniupnpd speaks PCP wherever it speaks NAT-PMP: what begins with version 2 does not get to it."""

CONFIG: Final = """
ext_ifname={outer}
ext_ip={outside}
listening_ip={inside}
uuid=6f2c5a4e-3d7b-4c1a-9a57-2b0f4f0e8d11
system_uptime=no
notify_interval=900
minissdpdsocket={directory}/minissdpd.sock
upnp_table_name=miniupnpd
upnp_nat_table_name=miniupnpd
"""

ANYBODY: Final = "allow 1024-65535 0.0.0.0/0 1024-65535\n"
NOBODY: Final = "deny 0-65535 0.0.0.0/0 0-65535\n"

MODES: Final = {
    "pcp": ("enable_natpmp=yes\nenable_upnp=no\n" + ANYBODY, ""),
    "nat-pmp": ("enable_natpmp=yes\nenable_upnp=no\n" + ANYBODY, NO_PCP),
    "upnp": ("enable_natpmp=no\nenable_upnp=yes\n" + ANYBODY, ""),
    "nothing": ("enable_natpmp=yes\nenable_upnp=yes\n" + NOBODY, ""),
}
"""Lines of the configuration and rules of the firewall by what the router grants ports by."""


@dataclass
class HomeRouter:
    """A NAT: its first network is outside, `home` is on its second one."""

    host: Host
    home: Host
    mode: str = ""
    """What it grants ports by now; empty while it is off."""
    _daemon: int | None = None

    @property
    def outside(self) -> str:
        """Its outer address."""
        return str(OUTSIDE.ip)

    def move_in(self, neighbour: Host) -> None:
        """Get an address of the Internet, which the neighbour, a router too, knows the way to."""
        for host, address in ((self.host, OUTSIDE), (neighbour, NEXT_DOOR)):
            host.run(["ip", "address", "add", str(address), "dev", host.ports[0].interface])

    def start(self, mode: str) -> None:
        """Grant ports by one protocol only, or none to anybody."""
        self.stop()
        outer, inner = self.host.ports[:2]
        lines, rules = MODES[mode]
        config, pid = self.host.directory / "miniupnpd.conf", self.host.directory / "miniupnpd.pid"
        text = CONFIG.format(outer=outer.interface, outside=OUTSIDE.ip, inside=inner.v4, directory=self.host.directory)
        config.write_text(text + lines, encoding="ascii")
        self.host.run(["nft", "-f", "-"], stdin=TABLES + rules)
        self.host.run(["miniupnpd", "-f", str(config), "-P", str(pid)])
        # It writes its number before it opens its sockets, into a file that is there before the number.
        wait_until(self._listens, "miniupnpd listens")
        self.mode, self._daemon = mode, int(pid.read_text(encoding="ascii"))
        pid.unlink()

    def stop(self) -> None:
        """Lose power: the daemon is gone, and every mapping with it."""
        if self._daemon is None:
            return
        daemon, self._daemon, self.mode = self._daemon, None, ""
        os.kill(daemon, signal.SIGKILL)
        wait_until(lambda: identify(daemon) is None, "miniupnpd is gone")
        for table in ("miniupnpd", "nopcp"):
            self.host.run(["nft", "delete", "table", "inet", table], check=False)
        # A flow that is under way outlives the mapping it came in by.
        forget_connections(self.host.namespace)

    def mapped(self) -> set[str]:
        """IP protocols of which a port leads home now; miniupnpd's rules name them by number."""
        listed = self.host.run(["nft", "list", "chain", "inet", "miniupnpd", "prerouting_miniupnpd"]).stdout
        rules = [line for line in listed.splitlines() if f"dnat ip to {self.home.v4.ip}:" in line]
        return {name for name, number in (("udp", " 0x11 "), ("tcp", " 0x6 ")) for rule in rules if number in rule}

    def _listens(self) -> bool:
        ports = self.host.run(["ss", "-Hulnp"]).stdout
        return "miniupnpd" in ports and (":5351 " in ports or ":1900 " in ports)
