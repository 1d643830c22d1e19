"""What a router says to all hosts: heard from the gateway alone, and only what was said to all."""

import asyncio
import socket

import pytest

from pulse.core.paths.portmap import Gateway
from pulse.net.portmap import announcements
from pulse.net.portmap.announcements import GROUP, PORT, Announcements
from tests.net.portmap.cable import HOME, ROUTER, STRANGER, Cable


def say(cable: Cable, to: str, host: str = ROUTER) -> None:
    """Send something to the port of announcements."""
    with cable.udp(0, host) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host))
        sock.sendto(b"\0\x80" + bytes(2000), (to, PORT))


async def heard(ears: Announcements) -> None:
    """Wait until something is heard."""
    async with asyncio.timeout(20):
        await ears.wait()


async def heard_nothing(ears: Announcements) -> bool:
    """True if nothing is heard for a while."""
    try:
        async with asyncio.timeout(0.5):
            await ears.wait()
    except TimeoutError:
        return True
    return False


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcements, "REPEATED", 0.01)


async def test_what_the_gateway_says_to_all_is_heard(cable: Cable) -> None:
    with Announcements(HOME) as ears:
        say(cable, GROUP)
        await heard(ears)


async def test_what_others_say_or_to_us_alone_is_not(cable: Cable) -> None:
    with Announcements(HOME) as ears:
        say(cable, GROUP, STRANGER)
        say(cable, str(HOME.source))
        assert await heard_nothing(ears)
        say(cable, GROUP)
        await heard(ears)


@pytest.mark.usefixtures("cable")
async def test_another_program_may_listen_too() -> None:
    with Announcements(HOME), Announcements(HOME):
        pass


@pytest.mark.usefixtures("cable")
async def test_an_interface_that_is_gone_is_an_os_error() -> None:
    with pytest.raises(OSError, match="No such device"):
        Announcements(Gateway(HOME.address, HOME.source, "eth9"))
