"""Routes of one node that answers from memory."""

from pulse.errors import NotFound
from pulse.schemas.routes import RouteChange, RouteRef, RouteRequest, RouteView
from tests.api.fake_ways import ID

ROUTE = RouteView(ID, "relay-01", "0.0.0.0/0", "", True, False, "", "offered", "")


class FakeRoutes:
    """One range that one node offers; implements `pulse.schemas.routes.Routes`."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked

    async def all(self) -> list[RouteView]:
        return [ROUTE]

    async def add(self, wanted: RouteRequest) -> RouteChange:
        self.asked.append(wanted)
        return RouteChange(ID, "relay-01", wanted.mapped or wanted.cidr, "1.7")

    async def approve(self, wanted: RouteRef) -> RouteChange:
        return self._changed(wanted)

    async def remove(self, wanted: RouteRef) -> RouteChange:
        return self._changed(wanted)

    def _changed(self, wanted: RouteRef) -> RouteChange:
        self.asked.append(wanted)
        if wanted.cidr != ROUTE.cidr:
            raise NotFound(f"no node offers {wanted.cidr}. See what they offer: pulse route list")
        return RouteChange(ID, "relay-01", wanted.cidr, "1.7")
