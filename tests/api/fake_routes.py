"""Routes of one node that answers from memory."""

from pulse import routeschemas as said
from pulse.errors import NotFound
from tests.api.fake_ways import ID

ROUTE = said.RouteView(ID, "relay-01", "0.0.0.0/0", "", True, False, "", "offered", "")


class FakeRoutes:
    """One range that one node offers; implements `pulse.routeschemas.Routes`."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked

    async def all(self) -> list[said.RouteView]:
        return [ROUTE]

    async def add(self, wanted: said.RouteRequest) -> said.RouteChange:
        self.asked.append(wanted)
        return said.RouteChange(ID, "relay-01", wanted.mapped or wanted.cidr, "1.7")

    async def approve(self, wanted: said.RouteRef) -> said.RouteChange:
        return self._changed(wanted)

    async def remove(self, wanted: said.RouteRef) -> said.RouteChange:
        return self._changed(wanted)

    def _changed(self, wanted: said.RouteRef) -> said.RouteChange:
        self.asked.append(wanted)
        if wanted.cidr != ROUTE.cidr:
            raise NotFound(f"no node offers {wanted.cidr}. See what they offer: pulse route list")
        return said.RouteChange(ID, "relay-01", wanted.cidr, "1.7")
