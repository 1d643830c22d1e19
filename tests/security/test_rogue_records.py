"""Records that a member seals with its true key and has no right to send, or sends twice, late, cut or spoiled.

Nothing but the far end can judge them: each is dropped there for its own reason, and a flow beside it never notices.
"""

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from pulse.lab.host import wait_until
from tests.e2e.mesh import PATIENCE
from tests.security.frames import UNSPECIFIED, flips
from tests.security.packets import ICMP, TCP, UDP, Ends, datagram, echo, packet, syn
from tests.security.scene import Scene, drops, unharmed
from tests.security.session import Session

WINDOW = 65_536
INDEX = range(4, 8)
OVERHEAD = 32
HIGHEST = 2**64 - 1


@pytest.fixture(scope="module")
def session(scene: Scene) -> Session:
    """A session with keys for records."""
    made = Session([scene.link])
    made.waits_up()
    assert made.is_alive()
    return made


@pytest.fixture
def ends(scene: Scene, session: Session) -> Iterator[Ends]:
    """From the rogue to the CA, as its packets should say; they still pass in the end."""
    with unharmed(scene):
        yield Ends(scene.link.me, scene.link.there)
        assert session.is_alive()


def test_a_record_that_comes_again_is_dropped(scene: Scene, session: Session, ends: Ends) -> None:
    record = session.seals(echo(ends))
    heard = len(session.heard.packets)

    with drops(scene.ca, replayed=9):
        scene.link.throws(*[record] * 10)

    scene.link.waits(lambda: len(session.heard.packets) > heard, "it is answered")
    assert len(session.heard.packets) == heard + 1


def test_records_out_of_order_count_once_each(scene: Scene, session: Session, ends: Ends) -> None:
    records = [session.seals(echo(ends, bytes((turn,)))) for turn in range(50)]
    heard = len(session.heard.packets)

    with drops(scene.ca, replayed=50):
        scene.link.throws(*records[::-1], *records)

    scene.link.waits(lambda: len(session.heard.packets) == heard + 50, "all are answered")


def test_a_record_older_than_the_window_is_dropped(scene: Scene, session: Session, ends: Ends) -> None:
    old = session.seals(echo(ends))
    number = int.from_bytes(old[8:16])
    newest = session.seals(echo(ends), counter=number + WINDOW)
    just_in = session.seals(echo(ends), counter=number + 1)

    with drops(scene.ca, replayed=1):
        scene.link.throws(newest, old, just_in)


def test_each_bit_of_a_record_is_guarded(scene: Scene, session: Session, ends: Ends) -> None:
    record = session.seals(echo(ends))
    spoiled = [(place, changed) for place, changed in flips(record) if place > 0]

    with drops(scene.ca, **Counter("unknown_index" if place in INDEX else "bad_seal" for place, _ in spoiled)):
        scene.link.throws(*(changed for _, changed in spoiled))


def test_a_record_cut_short_is_dropped(scene: Scene, session: Session, ends: Ends) -> None:
    record = session.seals(echo(ends))

    with drops(scene.ca, truncated=OVERHEAD - 1):
        scene.link.throws(*(record[:size] for size in range(1, OVERHEAD)))


@pytest.mark.parametrize(
    "src", ["10.100.6.8", "192.0.2.7", "127.0.0.1", UNSPECIFIED, "255.255.255.255", "fd00::7", "::1"]
)
def test_a_source_that_is_not_the_senders_is_dropped(scene: Scene, session: Session, ends: Ends, src: str) -> None:
    lie = Ends(src, scene.ca.v6 if ":" in src else ends.dst)

    with drops(scene.ca, spoofed_source=3):
        session.sends(echo(lie), datagram(lie, 7, 7), syn(lie, 7, 7))


def test_the_source_address_of_another_member_or_the_cas_own_is_dropped(
    scene: Scene, session: Session, ends: Ends
) -> None:
    lies = [Ends(scene.member.v4, ends.dst), Ends(ends.dst, ends.dst), Ends(scene.member.v6, scene.ca.v6)]

    with drops(scene.ca, spoofed_source=len(lies)):
        session.sends(*map(echo, lies))


@pytest.mark.parametrize(
    "dst",
    [
        "10.100.99.99",
        "127.0.0.1",
        "198.18.0.1",
        "203.0.113.9",
        "2001:db8::9",
        "255.255.255.255",
        "224.0.0.1",
        "ff02::1",
        "::1",
    ],
)
def test_a_destination_that_is_not_the_victims_mesh_address_is_dropped(
    scene: Scene, session: Session, ends: Ends, dst: str
) -> None:
    elsewhere = Ends(scene.rogue.shows.addresses[1] if ":" in dst else ends.src, dst)

    with drops(scene.ca, foreign_destination=3):
        session.sends(echo(elsewhere), datagram(elsewhere, 7, 7), syn(elsewhere, 7, 7))


def test_an_address_of_the_victims_host_that_is_not_of_the_mesh_is_not_reached(
    scene: Scene, session: Session, ends: Ends
) -> None:
    """The mesh is no way into the other networks of a node."""
    scene.ca.host.run(["ip", "address", "add", "192.0.2.1/32", "dev", "lo"])

    with drops(scene.ca, foreign_destination=2):
        session.sends(echo(Ends(ends.src, "192.0.2.1")), syn(Ends(ends.src, "198.18.0.1"), 7, 22))


def test_a_packet_for_another_member_goes_no_further(scene: Scene, session: Session, ends: Ends) -> None:
    """A record is for the node that opens it; nobody forwards what is inside, whatever the kernel would."""
    scene.ca.host.run(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])

    with drops(scene.ca, foreign_destination=1), drops(scene.member):
        session.sends(echo(Ends(ends.src, scene.member.v4)))


def test_what_is_no_whole_ip_packet_is_dropped(scene: Scene, session: Session, ends: Ends) -> None:
    true = echo(ends)
    cut = [true[:size] for size in range(len(true))]
    lying = [packet(ends, ICMP, bytes(8), length=length) for length in (0, 19, 27, 29, 65_535)]
    foreign = [bytes((version << 4 | 5,)) + true[1:] for version in range(16) if version not in {4, 6}]
    short_header = [bytes((0x40 | words,)) + true[1:] for words in range(5)]

    with drops(scene.ca, bad_packet=len(cut) + len(lying) + len(foreign) + len(short_header)):
        session.sends(*cut, *lying, *foreign, *short_header)


def test_a_flag_that_leaves_checksums_to_the_receiver_makes_no_packet_of_noise(
    scene: Scene, session: Session, ends: Ends
) -> None:
    """It asks the far kernel to fill in a checksum, wherever its header says: that place must lie in the packet."""
    chance = random.Random("partial")
    shapes = [(protocol, size) for protocol in (ICMP, TCP, UDP, 0, 41, 255) for size in range(41)]
    records = [
        session.seals(packet(ends, protocol, chance.randbytes(size), fragment=fragment), flags=flags)
        for protocol, size in shapes
        for fragment in (0, 0x2000, 0x1FFF)
        for flags in (0, 1, 0xFE, 0xFF)
    ]

    for start in range(0, len(records), 100):
        scene.link.throws(*records[start : start + 100])


def test_a_counter_at_the_very_end_harms_its_own_key_alone(scene: Scene) -> None:
    ends, last = Ends(scene.link.me, scene.link.there), Session([scene.link])
    last.waits_up()

    with unharmed(scene), drops(scene.ca, replayed=2):
        scene.link.throws(last.seals(echo(ends), counter=HIGHEST))
        wait_until(lambda: last.heard.packets, "the last number there is passes once", PATIENCE)
        scene.link.throws(last.seals(echo(ends), counter=HIGHEST), last.seals(echo(ends), counter=0))

    afresh = Session([scene.link])
    afresh.waits_up()
    assert afresh.is_alive()
