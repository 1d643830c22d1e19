"""A member that never stops talking: ten thousand messages a second, and the mesh does not notice.

What it says is read at the pace of the victim, so a flood waits at its sender; what is read costs no memory.
"""

import secrets

import msgspec
import pytest

from pulse.core.messages import Item, ObjectKind, Objects, Observed, Wire, pack
from pulse.lab.host import wait_until
from tests.e2e.mesh import PATIENCE
from tests.security.frames import Header, Kind
from tests.security.link import PROBE, Link
from tests.security.scene import Scene, memory, told_since, unharmed

RATE = 10_000
SECONDS = 2
SLICE = 0.05
GROWTH = 32 << 20
"""Bytes a flood may cost."""
ECHOES = 0.95
PINGS = 80


def signed(number: int) -> Item:
    """An object under a signature that must be looked at to be seen false."""
    kind = (ObjectKind.ROLES, ObjectKind.CONFIG, ObjectKind.REVOCATION)[number % 3]
    return Item(kind, bytes((kind, 1)) + secrets.token_bytes(64) + msgspec.msgpack.encode([number]))


FLOODS: dict[str, list[Wire | bytes]] = {
    "addresses": [Observed(f"198.18.{n // 250 % 250}.{n % 250}", 1 + n % 65_000) for n in range(1000)],
    "tags of later releases": [msgspec.msgpack.encode([99, n, secrets.token_bytes(100)]) for n in range(1000)],
    "false objects": [Objects([signed(n)]) for n in range(1000)],
    "many false objects at once": [Objects([signed(n) for n in range(100)]) for _ in range(10)],
}


@pytest.mark.parametrize("said", FLOODS.values(), ids=FLOODS)
def test_a_flood_of_messages_is_heard_out_or_cut_off_and_harms_nobody(scene: Scene, said: list[Wire | bytes]) -> None:
    link, held = scene.new_link(), memory(scene.ca)
    framed = [len(each).to_bytes(4) + each for each in (one if isinstance(one, bytes) else pack(one) for one in said)]
    messages = sum(len(each.items) if isinstance(each, Objects) else 1 for each in said)

    with unharmed(scene):
        pinging = scene.member.host.popen(["ping", "-q", "-c", str(PINGS), "-i", "0.025", scene.ca.v4])
        for _ in range(int(RATE * SECONDS / messages)):
            if link.closed:
                break
            link.utters(b"".join(framed))
            link.pauses(messages / RATE)
        grown = memory(scene.ca) - held
        assert scene.ca.status().well
        pinging.wait()

    assert grown <= GROWTH
    assert answered(pinging.text()) >= ECHOES * PINGS
    assert len(scene.ca.log) < 64 << 20


def answered(said: str) -> int:
    """How many pings were answered, as ping counts them."""
    return int(said.split(" packets transmitted, ")[1].split(maxsplit=1)[0])


def test_a_flood_of_probes_costs_one_echo_each(scene: Scene) -> None:
    """As many bytes out as in, to the one address the link leads to, and no more."""
    link = scene.new_link()
    _, header, _ = link.probe()
    number = 1 << 20
    probes = [link.seals(header, PROBE.pack(0, number + n, 0)) for n in range(RATE)]

    with unharmed(scene):
        link.throws(*probes)
        assert link.is_alive()

    assert all(link.echoes(number + n) <= 1 for n in range(RATE))


def test_a_flood_of_echoes_nobody_asked_for_makes_no_link_better(scene: Scene) -> None:
    link = scene.new_link()
    _, header, _ = link.probe()
    before = figures(scene, link)

    with unharmed(scene):
        link.throws(*(link.seals(header, PROBE.pack(1, n % 1000, n)) for n in range(RATE)))
        assert link.is_alive()

    rtt = figures(scene, link)
    assert rtt is None or before is None or rtt > before / 100


def figures(scene: Scene, link: Link) -> float | None:
    """The round trip the CA measured to the rogue."""
    (row,) = (peer for peer in scene.ca.status().peers if peer.v4 == link.me)
    return row.rtt


def test_a_link_that_echoes_nothing_is_given_up(scene: Scene) -> None:
    """Whoever takes frames and answers no probe carries nothing for long."""
    link = scene.new_link()
    assert link.is_alive()
    told = len(scene.ca.log)
    link.answers_probes = False

    assert link.waits_closed() == (0, "8 echoes in a row are missing")
    told_since(scene.ca, told, "INFO link down")


def test_links_made_and_dropped_without_end_leave_nothing(scene: Scene) -> None:
    held = memory(scene.ca)

    with unharmed(scene):
        for _ in range(60):
            scene.new_link().hangs_up()

    last = scene.new_link()
    assert last.is_alive()
    assert memory(scene.ca) - held <= GROWTH
    wait_until(lambda: sum(peer.link != "-" for peer in scene.ca.status().peers) == 2, "two links are left", PATIENCE)


@pytest.mark.parametrize("kind", [Kind.SESSION, Kind.RECORD, Kind.PARITY, Kind.PATH_PROBE], ids=lambda kind: kind.name)
def test_a_flood_of_frames_harms_nobody(scene: Scene, kind: Kind) -> None:
    link, held = scene.new_link(), memory(scene.ca)
    header = Header(link.me, link.there, kind)
    frames = [link.seals(header, secrets.token_bytes(1200)) for _ in range(2000)]

    with unharmed(scene):
        for start in range(0, len(frames), 100):
            link.throws(*frames[start : start + 100])
            link.pauses(0.01)
        assert link.is_alive()

    assert memory(scene.ca) - held <= GROWTH
