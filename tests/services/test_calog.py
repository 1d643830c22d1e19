"""The CA's journal as its owner reads it, and who is named where it is not."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pulse.errors import Refused
from pulse.services.calog import CaLogService
from pulse.store.files import open_data_dir
from pulse.store.ledger import Ledger
from tests.authority import NOW, Ca, secret
from tests.mint import member, mesh

CA = Ca()
ME, ALICE = (member(CA, name, place, host=name) for place, name in enumerate(("me", "alice"), 1))
KEEPER = member(CA, "keeper", 5, host="keeper", is_ca=True)


async def test_the_journal_is_read_in_pieces_and_checked(tmp_path: Path) -> None:
    with Ledger.create(open_data_dir(tmp_path / "ca") / "ledger.sqlite", CA.network, NOW) as ledger:
        ledger.set_master(secret("master"), NOW + 1)
        log = CaLogService(mesh(CA, KEEPER).members, ledger)

        first, second = await log.entries(0, 10)
        found = await log.verify()

        assert (second.seq, second.time, second.event) == (2, NOW + 1, "master token set")
        assert await log.entries(0, 1) == [first]
        assert await log.entries(1, 10) == [second]
        assert (found.entries, found.broken) == (2, None)


ASKED: dict[str, Callable[[CaLogService], Awaitable[object]]] = {
    "entries": lambda log: log.entries(0, 10),
    "verify": lambda log: log.verify(),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
async def test_a_member_has_no_journal_of_the_ca_and_names_it(
    ask: Callable[[CaLogService], Awaitable[object]],
) -> None:
    here = mesh(CA, ME)
    for other in (ALICE, KEEPER):
        here.peer_restored(other, [], 0.0)

    with pytest.raises(Refused, match=r"this node is not the CA.* Run it on keeper\.$"):
        await ask(CaLogService(here.members, None))


async def test_a_member_that_never_met_the_ca_names_nobody() -> None:
    with pytest.raises(Refused, match=r"lives there\.$"):
        await CaLogService(mesh(CA, ME).members, None).verify()
