"""Two namespaces with a cable between them, for tests of sockets that speak to a LAN."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from pulse.lab.host import wait_until
from tests.namespace import ip, ip_json, namespace

HERE, THERE = "192.168.7.1", "192.168.7.2"
DEVICE = "wan"


@contextmanager
def cable() -> Iterator[tuple[str, str]]:
    """The two names; each has the interface `wan`, with 192.168.7.1/24 and .2/24 and link-local addresses."""
    with namespace() as here, namespace() as there:
        ip(here, "link", "add", DEVICE, "type", "veth", "peer", "name", DEVICE, "netns", there)
        for name, address in ((here, HERE), (there, THERE)):
            ip(name, "address", "add", f"{address}/24", "dev", DEVICE)
            ip(name, "address", "add", f"fe80::{address[-1]}/64", "dev", DEVICE, "nodad")
            ip(name, "link", "set", DEVICE, "addrgenmode", "none", "up")
        for name in (here, there):
            wait_until(partial(_is_plugged_in, name), f"the kernel sees the cable of {name}", 20.0)
        yield here, there


def _is_plugged_in(name: str) -> bool:
    (link,) = ip_json(name, "link", "show", DEVICE)
    return bool(link["operstate"] == "UP")
