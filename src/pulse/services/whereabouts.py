"""Says at which node of the mesh a host is, for programs that have its name and want no resolver to know it.

Invariant: what is beyond the mesh is at no node, whichever exit leads there.
"""

from dataclasses import dataclass
from ipaddress import ip_address

from pulse.core.messages import shortened
from pulse.core.network.hosttext import Host
from pulse.core.network.proxying import ProxyRefused
from pulse.core.network.whereabouts import Whereabouts
from pulse.core.trust.certificates import Certificate
from pulse.errors import NotFound
from pulse.schemas.whereabouts import Found, HostQuery


@dataclass(frozen=True, slots=True)
class WhereaboutsService:
    """Answers by what this node knows now."""

    known: Whereabouts

    async def find(self, wanted: HostQuery) -> Found:
        """The node at which a host is. Raises NotFound, or Conflict for what fits several."""
        members, text = self.known.members, wanted.host.strip().lower().removesuffix(".")
        host = _host(text)
        if isinstance(host, str) and "." not in host:
            certificate = members.resolve(host)
        else:
            found = self._at(host)
            if found is None:
                raise NotFound(f"{shortened(wanted.host)} is not in this mesh. See the nodes: pulse status")
            certificate = found
        addresses = certificate.addresses
        return Found(certificate.node_id, members.label(certificate), str(addresses.v4), str(addresses.v6))

    def _at(self, host: Host) -> Certificate | None:
        try:
            place = self.known.place_of(host)
        except ProxyRefused as error:
            raise NotFound(str(error)) from error
        return None if place.beyond else self.known.members.get(place.node)


def _host(text: str) -> Host:
    try:
        return ip_address(text)
    except ValueError:
        return text
