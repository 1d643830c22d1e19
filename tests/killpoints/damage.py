"""Changes each byte of each file that a node keeps, and cuts each off everywhere, and starts the node on that.

python -m tests.killpoints.damage                    every byte and every length of every small file (`make killpoints`)
python -m tests.killpoints.damage --most 20 --seed 7      of each file so many of both
python -m tests.killpoints.damage identity/ peers         of those whose path begins so

The node is the real one, as `pulse.node` composes it, up to the moment in which it would begin to serve. It must refuse
and name the file and the next step, or go on with what was before, aloud. Invariant: it never takes what is damaged for
what never was: no config, no roles, nobody revoked; and it ends by no other error than one that it names.
"""

import argparse
import asyncio
import logging
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from pulse import node
from pulse.assembly import apisockets, member, streaming, underlay
from pulse.assembly.uses import Doors
from pulse.config import NodeConfig
from pulse.core.events import Kind
from pulse.core.trust.members import label
from pulse.core.types import NodeId
from pulse.errors import PulseError
from pulse.net.systemd import Notifier
from pulse.schemas.apikeys import ApiKeyRequest
from pulse.schemas.events import EventsQuery
from pulse.schemas.policy import GroupRequest
from pulse.schemas.revoke import RevokeRequest
from pulse.schemas.roles import RoleRequest
from pulse.schemas.tokens import TokenRequest
from pulse.services.events import EventsService
from pulse.settings import load
from pulse.store import peers, pins
from tests.authority import Ca
from tests.mint import member as minted

REVOKED = "ab" * 32
EDITS = 3

UNREAD = ("lock",)
"""Says nothing that a start goes by."""

UNSEALED = ("ca/ledger.sqlite",)
"""Has no checksum of the whole: sqlite sees what is wrong with its pages, and `ca log --verify` with the journal."""

LARGE = 32 * 1024
"""Bytes above which not every byte is tried: of the ledger sqlite reads a page or not."""

LARGE_SHARE = 400


@dataclass(frozen=True, slots=True)
class State:
    """What a start believes."""

    roles: int
    config: tuple[int, int]
    revoked: frozenset[NodeId]
    told: str
    """What was logged as a warning, or worse, and what the journal of events is said to lack."""


@dataclass(frozen=True, slots=True)
class Harm:
    """What was done to a file."""

    name: str
    what: str
    data: bytes


class Said(logging.Handler):
    """What was logged as a warning, or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """One more."""
        more = {key: value for key, value in vars(record).items() if key in ("error", "node", "path")}
        self.text += f"{record.getMessage()} {more}\n"


def settings(data: Path) -> NodeConfig:
    """Of a CA that is scribe too."""
    flags = {"data-dir": str(data), "addr": "127.0.0.1:8443", "scribe-listen": "off"}
    socket = {"PULSE_CONTROL_SOCKET": str(data.parent / "s")}
    return load({**flags, "ca": True, "scribe": True, "network": "harmed"}, (), environment=socket)


@asynccontextmanager
async def started(data: Path) -> AsyncIterator[node.Node]:
    """Start on a data directory, up to serving; raises as a start does."""
    config = settings(data)
    with (
        node._data_dir(config),
        apisockets.bound(config) as api,
        streaming.bound(config) as tunnels,
        underlay.opened(config, any_port=True) as links,
    ):
        held = member.held(config)
        identity = held or await member.enrolled(config, links)
        made = node._build(config, links, identity, api, Doors(None, tunnels=tunnels), Notifier())
        try:
            yield made
        finally:
            for each in made.services:
                if isinstance(each, EventsService):
                    each._write_last()
            if made.ca:
                made.ca.held.ledger.close()


async def believed(data: Path) -> State:
    """Start on a data directory and see what comes of it; raises as a start does."""
    said = Said()
    log = logging.getLogger("pulse")
    log.addHandler(said)
    try:
        async with started(data) as made:
            statements = made.mesh.mesh.statements
            config = statements.config
            assert config is not None, "no config"
            journal = await made.control.events.verify()
            noted = await made.control.events.events(EventsQuery(type=Kind.DAMAGE))
            told = f"{said.text}{data / 'events'} is damaged" if journal.broken or noted.events else said.text
            return State(statements.roles.epoch, config.number, statements.revoked(), told)
    finally:
        log.removeHandler(said)


async def fill(data: Path) -> None:
    """Make a network, and give the node one of everything that it keeps on its disk."""
    async with started(data) as made:
        control = made.control
        for number in range(EDITS):
            await control.acls.set_group(GroupRequest(f"g{number}", ["tag:any"], ahead=True))
        await control.tokens.create(TokenRequest(max_uses=1))
        await control.revoke.revoke(RevokeRequest(REVOKED))
        await control.roles.grant(RoleRequest(made.mesh.mesh.me.node_id, "operator"))
        await control.apikeys.create(ApiKeyRequest("program"))
    other = minted(Ca(), "b", 2)
    peers.save(data, [peers.KnownPeer(other.node_id, label(other), ["192.0.2.1:1"], other.der)])
    pins.save(data, {other.node_id: other.node_id})


def harms(path: Path, name: str, random: Random, most: int) -> Iterator[Harm]:
    """All that is to be done to a file, or `most` flips and as many lengths."""
    whole = path.read_bytes()
    limit = min(most, LARGE_SHARE) if len(whole) > LARGE else most
    for at in _chosen(len(whole), random, limit):
        bit = 1 << random.randrange(8)
        yield Harm(name, f"bit {bit:08b} of byte {at}", whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
    for end in _chosen(len(whole), random, limit):
        yield Harm(name, f"cut off at {end}", whole[:end])


def _chosen(size: int, random: Random, most: int) -> list[int]:
    return [*range(size)] if most >= size else sorted(random.sample(range(size), most))


async def suffers(whole: Path, place: Path, harm: Harm, before: State) -> str:
    """Start on a copy with that harm; what came of it in a word. Raises AssertionError if that is not allowed."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(whole, place)
    path = place / harm.name
    path.write_bytes(harm.data)
    try:
        after = await believed(place)
    except PulseError as error:
        refusal = str(error)
    except Exception as error:
        error.add_note(f"{harm.name}: {harm.what}")
        raise
    else:
        return went_on(path, harm, before, after)
    assert str(path) in refusal, (harm.name, harm.what, refusal)
    assert "\n" in refusal, ("no next step", harm.name, harm.what, refusal)
    return "refused"


def superseded(state: State) -> set[str]:
    """Files of the configs and roles before the newest."""
    configs = {f"network/config.0.{number}" for number in range(1, 2)}
    configs |= {f"network/config.1.{number}" for number in range(1, state.config[1])}
    return configs | {f"network/roles.{number}" for number in range(1, state.roles)}


def went_on(path: Path, harm: Harm, before: State, after: State) -> str:
    """It started on that; what came of it in a word."""
    assert after.roles >= before.roles - 1, (harm.name, harm.what, after)
    assert after.config >= (before.config[0], before.config[1] - 1), (harm.name, harm.what, after)
    assert after.revoked == before.revoked, (harm.name, harm.what, after)
    if harm.name.startswith(UNREAD) or harm.name in superseded(before):
        return "went on, for it is not read"
    if harm.name.startswith(UNSEALED) and str(path) not in after.told:
        return "went on, unseen"
    named = str(path) in after.told or (path.name.startswith("revoked.") and REVOKED[:12] in after.told)
    in_journal = harm.name.startswith("events/") and str(path.parent) in after.told
    assert named or in_journal, ("nothing was said", harm.name, harm.what, after)
    return "went on, aloud"


async def run(seed: int, most: int, only: tuple[str, ...] = ("",)) -> Counter[tuple[str, str]]:
    """Harm all files of one node, or those whose path begins with one of `only`; how often each did what."""
    random, results = Random(seed), Counter[tuple[str, str]]()
    with tempfile.TemporaryDirectory(prefix="damage-", dir="/tmp") as named:
        whole, place = Path(named) / "whole", Path(named) / "node"
        await fill(whole)
        before = await believed(whole)
        for path in sorted(path for path in whole.rglob("*") if path.is_file()):
            name = str(path.relative_to(whole))
            for harm in harms(path, name, random, most) if name.startswith(only) else ():
                results[name, await suffers(whole, place, harm, before)] += 1
    return results


def main() -> None:
    """Do what the command line says; an error ends it, and the seed was printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", default=[""])
    parser.add_argument("--most", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    for (name, outcome), count in sorted(asyncio.run(run(asked.seed, asked.most, (*asked.files,))).items()):
        print(f"{name}: {count} times {outcome}", flush=True)


if __name__ == "__main__":
    main()
