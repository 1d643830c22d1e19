"""Keys that must not come back, and a member that goes on as if nobody had revoked it (R5, R6, R7 of security.md)."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pulse.lab.lab import Lab
from tests.e2e.mesh import Node
from tests.namespace import require_root
from tests.security.frames import Header, Kind
from tests.security.link import Link
from tests.security.packets import Ends, echo
from tests.security.rogue import Rogue
from tests.security.scene import TOGETHER, bad_member, drops
from tests.security.session import Session

STUBBORN = 20
"""Packets of each kind that it goes on to send."""
SILENCE = 1.0


@dataclass(slots=True)
class Live:
    """The rogue's link and session with the CA, both alive."""

    ca: Node
    rogue: Rogue
    link: Link
    session: Session
    captured: list[bytes]
    """The CA's records, as they came."""

    @property
    def there(self) -> Ends:
        """To the CA's mesh address."""
        return Ends(self.link.me, self.link.there)


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    require_root()
    with Lab(TOGETHER) as lab:
        ca = Node(lab["a"])
        ca.start("--ca", "--network", "test")
        with Rogue(lab["r"], bad_member(ca)) as rogue:
            captured: list[bytes] = []
            link = rogue.dials(ca, prepared=lambda link: link.record_takers.append(captured.append))
            session = Session([link])
            session.waits_up()
            assert session.is_alive()
            yield Live(ca, rogue, link, session, captured)
        assert " ERROR " not in ca.log


def test_no_key_comes_back_with_a_restart_though_the_other_end_keeps_its_part(live: Live) -> None:
    """Counters begin anew, so a key that came back would seal two packets under one nonce."""
    before, old = live.session, live.session.seals(echo(live.there))
    captured = [*live.captured]
    assert captured
    live.ca.kill()
    live.ca.start()

    live.link = live.rogue.dials(live.ca)
    live.session = Session([live.link], again=before)
    live.session.waits_up()

    assert live.session.is_alive()
    assert len({*before.marks(), *live.session.marks()}) == 4
    assert not any(live.session.opens(record) for record in captured)
    with drops(live.ca, unknown_index=1):
        live.link.throws(old)


def test_who_is_revoked_in_mid_flow_gets_no_packet_through_however_it_goes_on(live: Live) -> None:
    assert live.session.is_alive()

    live.ca.host.pulse("revoke", "--node", live.link.me_id)

    assert live.link.waits_closed()[1] == "not trusted any more"
    heard = len(live.session.heard.packets)
    header = Header(live.link.me, live.link.there, Kind.SESSION)
    with drops(live.ca, unknown_index=2 * STUBBORN):
        for _ in range(STUBBORN):
            live.session.sends(echo(live.there))
            live.link.sends(header, b"still here")
    live.link.pauses(SILENCE)
    assert len(live.session.heard.packets) == heard
    with pytest.raises(ConnectionRefusedError):
        live.rogue.dials(live.ca)
