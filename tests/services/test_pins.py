"""Pins service: what a person may pin, what is kept, and what they are told."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pulse import clock
from pulse.core.facts import PinsChanged
from pulse.core.paths.pins import MOST_PINS
from pulse.core.trust.certificates import Certificate
from pulse.core.types import LinkId
from pulse.errors import NotFound, PulseError, Refused, SystemRefused
from pulse.schemas.pin import PinInfo, PinRequest, UnpinRequest
from pulse.services.pins import PinsService
from pulse.store import files, pins
from tests.authority import NOW, node
from tests.services.shown import ALICE, BOB, KEEPER
from tests.services.shown import Node as Seen

OTHER = LinkId(2)
INSTEAD = "so the best path is used"


@dataclass
class Node:
    """A pins service on a mesh, and the status that tells of them."""

    data_dir: Path
    seen: Seen = field(default_factory=Seen)
    told: list[PinsChanged] = field(default_factory=list)

    @property
    def service(self) -> PinsService:
        """The service, as a start makes it."""
        made = PinsService(self.data_dir, self.seen.mesh, self.tell, self.seen.service.pin_of)
        made.restore()
        return made

    def tell(self, fact: object) -> None:
        """To the mesh, which looks at it at once."""
        assert isinstance(fact, PinsChanged)
        self.told.append(fact)
        self.seen.mesh.happened(fact, self.seen.when)

    def meets(self, *others: Certificate) -> None:
        """Links with all of them."""
        for place, each in enumerate(others, 1):
            self.seen.meets(each, LinkId(place))


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: NOW)


@pytest.fixture
async def here(tmp_path: Path) -> Node:
    """Linked with alice and the keeper, who are linked too; it knows bob."""
    made = Node(files.open_data_dir(tmp_path / "data"))
    made.seen.knows(BOB)
    made.meets(ALICE, KEEPER)
    made.seen.hears((KEEPER, ALICE))
    return made


async def pin(here: Node, words: str) -> PinInfo:
    node, _, via = words.partition(" ")
    return await here.service.pin(PinRequest(node, via))


async def test_a_pin_is_followed_at_once_shown_and_kept(here: Node) -> None:
    told = await pin(here, "alice keeper")

    assert told == PinInfo(ALICE.node_id, "alice", "keeper", KEEPER.node_id, direct=False, followed=True, problem="")
    assert pins.load(here.data_dir) == ({ALICE.node_id: KEEPER.node_id}, None)
    row = here.seen.row(ALICE)
    assert (row.via, row.pinned) == ("keeper", told)
    assert here.seen.row(KEEPER).pinned is None


async def test_a_pin_is_replaced_and_taken_back(here: Node) -> None:
    await pin(here, "alice keeper")
    direct = await here.service.pin(PinRequest("alice", direct=True))
    assert (direct.via, direct.direct, direct.followed) == ("alice", True, True)
    assert here.seen.row(ALICE).via == ""

    told = await here.service.unpin(UnpinRequest("alice"))
    assert (told.name, told.via, told.followed) == ("alice", "", False)
    assert pins.load(here.data_dir) == ({}, None)
    assert here.seen.row(ALICE).pinned is None


async def test_pins_hold_again_after_a_restart(here: Node) -> None:
    await pin(here, "alice keeper")
    again = Node(here.data_dir)
    again.seen.knows(ALICE, KEEPER)
    assert again.service is not None
    pinned = again.seen.row(ALICE).pinned
    assert pinned is not None
    assert pinned.problem == "not linked with keeper at present, and no other path leads there"

    again.meets(KEEPER)
    again.seen.hears((KEEPER, ALICE))
    pinned = again.seen.row(ALICE).pinned
    assert pinned is not None
    assert (pinned.followed, pinned.problem) == (True, "")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("alice bob", f"not linked with bob at present, {INSTEAD}"),
        ("bob keeper", "keeper has no way to bob that is sure not to lead back here, and no other path leads there"),
    ],
)
async def test_a_pin_that_cannot_be_followed_is_kept_and_says_why(here: Node, words: str, problem: str) -> None:
    told = await pin(here, words)

    assert (told.followed, told.problem) == (False, problem)
    assert here.seen.row(ALICE).via == ""
    assert len(pins.load(here.data_dir)[0]) == 1


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ("nobody keeper", NotFound, 'no node is called "nobody". See the nodes: pulse status'),
        ("alice nobody", NotFound, 'no node is called "nobody". See the nodes: pulse status'),
        ("me keeper", Refused, "me is this node itself, and needs no way. Name another: pulse status"),
        ("alice me", Refused, "me is this node itself. For its own link to alice: pulse pin alice --direct"),
        ("alice alice", Refused, "alice is no way to itself. For the link to it: pulse pin alice --direct"),
        (
            f"alice {ALICE.node_id[:8]}",
            Refused,
            "alice is no way to itself. For the link to it: pulse pin alice --direct",
        ),
        ("alice", Refused, "say which way: pulse pin alice <via>, or pulse pin alice --direct"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_the_next_step(
    here: Node, words: str, error: type[PulseError], said: str
) -> None:
    with pytest.raises(error) as refused:
        await pin(here, words)

    assert str(refused.value) == said
    assert here.told == []


async def test_both_ways_at_once_are_refused(here: Node) -> None:
    with pytest.raises(Refused, match="say which way"):
        await here.service.pin(PinRequest("alice", "keeper", direct=True))


async def test_only_what_is_pinned_can_be_unpinned(here: Node) -> None:
    with pytest.raises(NotFound, match=r"^alice is not pinned \(no node is\). See: pulse status$"):
        await here.service.unpin(UnpinRequest("alice"))
    await pin(here, "alice keeper")
    with pytest.raises(NotFound, match=r"^bob is not pinned \(pinned: alice\). See: pulse status$"):
        await here.service.unpin(UnpinRequest("bob"))
    with pytest.raises(NotFound, match="no node is called"):
        await here.service.unpin(UnpinRequest("nobody"))


async def test_a_pinned_node_that_is_gone_is_unpinned_by_its_digits(here: Node) -> None:
    pins.save(here.data_dir, {node("gone"): KEEPER.node_id, ALICE.node_id: KEEPER.node_id})

    told = await here.service.unpin(UnpinRequest(node("gone")[:6]))

    assert told.id == node("gone")
    assert pins.load(here.data_dir) == ({ALICE.node_id: KEEPER.node_id}, None)


async def test_there_may_be_only_so_many_and_a_pinned_node_can_be_pinned_anew(here: Node) -> None:
    many = {f"{number:064x}": KEEPER.node_id for number in range(MOST_PINS - 1)}
    full = {**many, ALICE.node_id: KEEPER.node_id}
    pins.save(here.data_dir, full)  # type: ignore[arg-type]

    with pytest.raises(Refused, match=f"^{MOST_PINS} nodes are pinned, and no more can be. Take one back: pulse unpin"):
        await pin(here, "bob keeper")
    assert (await pin(here, "alice bob")).via == "bob"


async def test_what_the_disk_refuses_is_not_told(here: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SystemRefused("cannot write pins: No space left on device")

    monkeypatch.setattr(pins, "save", full)
    with pytest.raises(SystemRefused, match="No space left"):
        await pin(here, "alice keeper")

    assert here.told == []
    assert here.seen.row(ALICE).pinned is None


async def test_a_damaged_file_costs_the_pins_and_one_warning(here: Node, caplog: pytest.LogCaptureFixture) -> None:
    (here.data_dir / "pins").write_bytes(b"nonsense")
    (here.data_dir / "pins").chmod(0o600)

    assert here.service is not None

    assert [record.message for record in caplog.records] == ["pins lost"]
    assert here.told == []
