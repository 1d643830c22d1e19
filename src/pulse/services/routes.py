"""Ranges beyond the mesh, typed at any node that may: shown with who leads there, stated, approved and taken away.

Invariant: nothing is approved here; an edit of the network config does it, on the scribe.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from pulse.core.cidr import Range, range_of
from pulse.core.mesh import Mesh
from pulse.core.network.edits import Edits
from pulse.core.network.exits import Offer
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.ranges import read_range
from pulse.core.network.routes import Route, announced, is_approved
from pulse.core.network.sections import RouteEdit, RouteRemoved, RouteSet
from pulse.core.trust.identity import node_bytes, node_from_bytes
from pulse.core.types import NodeId
from pulse.errors import Conflict, NotFound
from pulse.schemas.routes import RouteChange, RouteRef, RouteRequest, RouteState, RouteView

Named = tuple[NodeId, Range]

NOT_OFFERED = "no node offers {}. See what they offer: pulse route list"


@dataclass(frozen=True, slots=True)
class RoutesService:
    """One node as a place to look at routes, and to edit them from; implements `pulse.api.governance.Routes`."""

    mesh: Mesh
    edit: Callable[[Edits], Awaitable[SignedConfig]]
    """Has edits made, here or by the scribe."""

    async def all(self) -> list[RouteView]:
        """Every range offered or approved. Raises Refused before a network config is in force."""
        offers = {(each.node, each.cidr): each for each in self._offers()}
        stated = {(node, cidr): each for each in self._stated() for node, cidr in self._name(each)}
        named = sorted({*offers, *stated}, key=lambda each: (each[1].version, each[1], each[0]))
        return [self._view(each, offers.get(each), stated.get(each)) for each in named]

    async def add(self, wanted: RouteRequest) -> RouteChange:
        """State and approve a route. Raises NotFound, and what an edit raises."""
        node = self.mesh.members.resolve(wanted.node_id).node_id
        cidr, mapped = read_range(wanted.cidr), read_range(wanted.mapped) if wanted.mapped else None
        route = Route(node_bytes(node), str(cidr), str(mapped or ""), approved=True)
        return await self._edited(node, route.announced, RouteSet(route))

    async def approve(self, wanted: RouteRef) -> RouteChange:
        """Approve a range that a node offers. Raises NotFound, Conflict, and what an edit raises."""
        # Offers of ranges that overlap the mesh are heard by nobody: say why, not that there is none.
        read_range(wanted.cidr, self.mesh.beyond.mesh_ranges(self.mesh.me.network))
        offered = [(each.node, each.cidr) for each in self._offers()]
        stated = [each for route in self._stated() for each in self._name(route)]
        node, cidr = self._meant(wanted, {*offered, *stated}, NOT_OFFERED)
        known = [each for each in self._stated() if (node, cidr) in self._name(each)]
        before = known[0] if known else Route(node_bytes(node), str(cidr))
        route = Route(before.node, before.cidr, before.mapped, approved=True)
        return await self._edited(node, str(cidr), RouteSet(route))

    async def remove(self, wanted: RouteRef) -> RouteChange:
        """Take a route away, and its approval with it. Raises the same."""
        stated = {each for route in self._stated() for each in self._name(route)}
        node, cidr = self._meant(wanted, stated, "no route to {} is stated. See them: pulse route list")
        return await self._edited(node, str(cidr), RouteRemoved(node_bytes(node), str(cidr)))

    # Details

    def _offers(self) -> Iterable[Offer]:
        mesh = self.mesh
        config = mesh.statements.config_in_force().config
        own = announced(mesh.me.node_id, [str(each.behind) for each in mesh.beyond.offered()], config.routes)
        tags = mesh.members.tags(mesh.me)
        return [*mesh.beyond.offers(), *(Offer(mesh.me.node_id, tags, each.announced, 0.0) for each in own)]

    def _stated(self) -> Sequence[Route]:
        return self.mesh.statements.config_in_force().config.routes

    def _name(self, route: Route) -> list[Named]:
        """How the route is named; not at all in a form of a later release."""
        cidr = range_of(route.announced)
        return [(node_from_bytes(route.node), cidr)] if cidr is not None else []

    def _meant(self, wanted: RouteRef, known: Iterable[Named], missing: str) -> Named:
        cidr = read_range(wanted.cidr)
        node = self.mesh.members.resolve(wanted.node_id).node_id if wanted.node_id else None
        found = [each for each in known if each[1] == cidr and node in (None, each[0])]
        if not found:
            raise NotFound(missing.format(cidr))
        if len(found) > 1:
            names = ", ".join(sorted(self.mesh.members.named(each[0]) for each in found))
            raise Conflict(f"several nodes lead to {cidr}: {names}. Say which: --node NAME")
        return found[0]

    async def _edited(self, node: NodeId, cidr: str, edit: RouteEdit) -> RouteChange:
        signed = await self.edit(Edits([edit]))
        return RouteChange(node, self.mesh.members.label_of(node), cidr, signed.version)

    def _view(self, named: Named, offer: Offer | None, route: Route | None) -> RouteView:
        (node, cidr), mesh = named, self.mesh
        config = mesh.statements.config_in_force().config
        by = ""
        if route is not None and route.approved:
            by = "scribe"
        elif offer is not None and is_approved(node, offer.tags, cidr, config.routes, config.auto_approve):
            worn = (tag for text, tag in config.auto_approve.items() if tag in offer.tags and _holds(text, cidr))
            by = f"tag:{next(worn, '')}"
        used = mesh.beyond.exits.user_of(cidr)
        return RouteView(
            id=node,
            name=mesh.members.label_of(node),
            cidr=str(cidr),
            behind=route.cidr if route is not None and route.mapped else "",
            offered=offer is not None,
            approved=bool(by),
            by=by,
            state=(state := self._state(named, offer, approved=bool(by), used=used)),
            through=mesh.members.label_of(used) if used else "",
            why=self._why(named, offer) if state == "failed" else "",
        )

    def _state(self, named: Named, offer: Offer | None, *, approved: bool, used: NodeId | None) -> RouteState:
        node, _ = named
        if not approved:
            return "offered"
        if offer is None:
            return "approved"
        if node == self.mesh.me.node_id:
            return "here"
        if node == used:
            return "in use"
        return "failed" if self._why(named, offer) else "ready"

    def _why(self, named: Named, offer: Offer | None) -> str:
        unreached = offer is None or offer.score is None
        return "it is not reached" if unreached else self.mesh.beyond.exits.failure(*named)


def _holds(text: str, cidr: Range) -> bool:
    return is_approved(NodeId("0" * 64), ["x"], cidr, [], {text: "x"})
