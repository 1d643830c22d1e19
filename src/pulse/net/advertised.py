"""Where others can reach this node: what was configured, else what the machine and its neighbours see."""

from collections.abc import Iterable

from pulse.core.addresses import join
from pulse.core.trust.invites import ADDRESSES_LIMIT
from pulse.net.interfaces import host_addresses


def advertised(host: str, port: int, observed: Iterable[str], own_devices: Iterable[str] = ()) -> tuple[str, ...]:
    """Addresses to tell others, `host:port`, best first, as many as an invite holds.

    With a configured `host` that one alone; else where neighbours see us, then the addresses of our interfaces.
    """
    if host:
        return (join(host, port),)
    local = [join(str(each), port) for each in host_addresses(own_devices)]
    return tuple(dict.fromkeys([*observed, *local]))[:ADDRESSES_LIMIT]
