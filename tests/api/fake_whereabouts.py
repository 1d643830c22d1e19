"""Where hosts are, answered from memory."""

from pulse.errors import NotFound
from pulse.schemas.whereabouts import Found, HostQuery
from tests.api.fake_ways import ID

FOUND = Found(ID, "relay-01", "10.100.41.7", "fd7a::7")


class FakeWhereabouts:
    """One node; implements `pulse.api.control.Whereabouts`."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked

    async def find(self, wanted: HostQuery) -> Found:
        self.asked.append(wanted)
        if wanted.host != "relay-01.pulse":
            raise NotFound(f"{wanted.host} is not in this mesh. See the nodes: pulse status")
        return FOUND
