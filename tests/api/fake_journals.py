"""Journals, answered from memory: the CA's, and the node's own."""

from pulse.errors import ConfigError
from pulse.schemas.events import EventInfo, Events, EventsQuery, Moment, MomentQuery, PastPeer
from pulse.schemas.journal import JournalCheck, JournalEntry

JOINED = EventInfo(3, 1000.0, "join", "9" * 64, "laptop", {"v4": "10.100.9.140"})
ROAMED = EventInfo(4, 1007.0, "path", "9" * 64, "laptop", {"link": "websocket", "via": "relay-01", "was": ""})
MOMENT = Moment(
    1010.0, "db-server", "running", 1007.0, 1020.0, "1.7",
    [PastPeer("9" * 64, "laptop", "10.100.9.140", "websocket", "relay-01", 1007.0, ["scribe"]),
     PastPeer("8" * 64, "cam-7", "10.100.77.2", "-", "", None, [])],
    ["cam-1"],
)  # fmt: skip


class FakeCaLog:
    """The journal of a CA that made many tokens."""

    def __init__(self) -> None:
        self.kept = [JournalEntry(n, 1000.0 + n, "token created", {"id": str(n)}) for n in range(1, 2501)]

    async def entries(self, after: int, limit: int) -> list[JournalEntry]:
        return [entry for entry in self.kept if entry.seq > after][:limit]

    async def verify(self) -> JournalCheck:
        return JournalCheck(len(self.kept), None, "")


class FakeHistory:
    """What happened, and how the mesh was."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked
        self.kept = [JOINED, ROAMED]
        self.trouble = ""
        self.moment = MOMENT

    async def events(self, wanted: EventsQuery) -> Events:
        self.asked.append(wanted)
        if wanted.type == "foo":
            raise ConfigError('"foo" is no type of event. There are: start, join')
        found = [each for each in self.kept if wanted.after is None or each.seq > wanted.after]
        found = found[: wanted.limit] if wanted.after is not None else found[-wanted.limit :]
        return Events(found, self.trouble, 3 if self.trouble else 0)

    async def verify(self) -> JournalCheck:
        return JournalCheck(2, None, "")

    async def at(self, wanted: MomentQuery) -> Moment:
        self.asked.append(wanted)
        return self.moment
