"""Says why two nodes reach each other as they do: each is asked for its own account, and the core judges.

Invariant: an end that cannot be asked costs its half of the account and nothing else.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from pulse.core import messages, why
from pulse.core.mesh import Mesh
from pulse.core.messages import MethodName
from pulse.core.paths.figures import Figures
from pulse.core.types import LinkType, NodeId
from pulse.core.why import Account, End, Place
from pulse.errors import PulseError, Refused
from pulse.net.links import Rpc
from pulse.schemas.paths import Why, WhyEnd, WhyPlace, WhyRequest

_ID_BYTES: Final = 32

_accounts = msgspec.msgpack.Decoder(Account)


@dataclass(frozen=True, slots=True)
class WhyService:
    """Asks both ends, and answers others who ask this one."""

    mesh: Mesh
    call: Rpc
    link_of: Callable[[NodeId], str]
    """The type of the first link of the path to a node, as the status names it."""
    figures_of: Callable[[NodeId], Figures]
    """How good that path is, as the status tells it."""

    async def answer(self, _: NodeId, body: bytes) -> bytes:
        """The method `why`: our account of the way to the node whose 32 bytes of id came. Raises Refused."""
        if len(body) != _ID_BYTES:
            raise Refused(f"a node is named by the 32 bytes of its id, not by {len(body)}")
        return messages.pack(self._account(NodeId(body.hex())))

    async def why(self, wanted: WhyRequest) -> Why:
        """Both accounts, joined. Raises NotFound, Conflict or Refused."""
        there = self.mesh.members.resolve(wanted.node).node_id
        here = self.mesh.members.resolve(wanted.source).node_id if wanted.source else self.mesh.me.node_id
        if here == there:
            raise Refused(f"{self._name(here)} is one node, and a path has two ends. Name another: pulse status")
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(self._asked(here, there, wanted.timeout))
            other = tasks.create_task(self._asked(there, here, wanted.timeout))
        (ours, silence), (theirs, their_silence) = asked.result(), other.result()
        via = NodeId(ours.via.hex()) if ours else NodeId("")
        verdict = why.judge(End(self._name(here), ours), End(self._name(there), theirs), self._name(via) if via else "")
        if ours is None:
            verdict = why.Verdict(why.Code.NO_PATH, f"{self._name(here)} cannot be asked: {silence}.")
        return Why(
            code=verdict.code,
            sentence=messages.printable(verdict.sentence),
            help=verdict.help,
            source=self._end(here, ours, silence),
            node=self._end(there, theirs, their_silence),
        )

    # Details

    async def _asked(self, node: NodeId, about: NodeId, timeout: float) -> tuple[Account | None, str]:
        if node == self.mesh.me.node_id:
            return self._account(about), ""
        if self.mesh.routing.path_to(node) is None:
            # No answer could come.
            return None, f"nothing leads to {self._name(node)} now"
        try:
            answer = await self.call(node, MethodName.WHY, bytes.fromhex(about), timeout)
            return messages.unpack(_accounts, answer, "account", messages.RPC_LIMIT), ""
        except PulseError as error:
            return None, str(error)

    def _account(self, node: NodeId) -> Account:
        mesh, now = self.mesh, asyncio.get_running_loop().time()
        path = mesh.routing.path_to(node)
        links = mesh.neighbours.links()
        known = self.figures_of(node)
        report, nat = mesh.traversal.report(node), mesh.sight.nat()
        relay = mesh.neighbours.get(path.link) if path and path.via else None
        return Account(
            link=self.link_of(node),
            via=bytes.fromhex(relay.node) if relay else b"",
            rtt=known.rtt,
            loss=known.loss or 0.0,
            places=self._places(node),
            nat=nat.mapping,
            observers=nat.observers,
            seen=tuple(mesh.sight.addresses()[:3]),
            has_udp=any(each.transport != LinkType.WEBSOCKET for each in links),
            has_links=bool(links),
            is_wanted=report is not None and report.is_wanted(now),
            is_linked=mesh.neighbours.link_to(node) is not None,
            next_try=max(0.0, report.next_try - now) if report and report.next_try is not None else None,
            error=report.last_error[:255] if report else "",
            attempts=report.failures if report else 0,
            birthday=mesh.traversal.birthday(node),
        )

    def _places(self, node: NodeId) -> tuple[Place, ...]:
        report = self.mesh.traversal.report(node)
        probed = dict(report.places) if report else {}
        errors = {each.address: each.last_error for each in self.mesh.neighbours.unreached() if each.node == node}
        places = [
            Place(address, tally.sent, tally.answered, tally.heard, errors.pop(address, "")[:255])
            for address, tally in probed.items()
        ]
        places += [Place(address[:64], error=error[:255]) for address, error in errors.items()]
        return tuple(places[: why.MOST_PLACES])

    def _end(self, node: NodeId, account: Account | None, silence: str) -> WhyEnd:
        said = account or Account()
        return WhyEnd(
            id=node,
            name=self._name(node),
            asked=account is not None,
            problem=silence,
            link=messages.printable(said.link),
            via=self._name(NodeId(said.via.hex())) if said.via else "",
            rtt=said.rtt,
            loss=said.loss,
            nat=messages.printable(said.nat),
            observers=said.observers,
            seen=[messages.printable(each) for each in said.seen],
            next_try=said.next_try,
            last_error=messages.printable(said.error),
            attempts=said.attempts,
            birthday=messages.printable(said.birthday),
            places=[_shown(each) for each in said.places],
        )

    def _name(self, node: NodeId) -> str:
        return self.mesh.members.label_of(node)


def _shown(place: Place) -> WhyPlace:
    address, error = messages.printable(place.address), messages.printable(place.error)
    return WhyPlace(address, place.sent, place.answered, place.heard, error)
