"""Ways to other nodes, answered from memory: drawn, traced, explained, pinned."""

from pulse.errors import NotFound
from pulse.schemas.paths import Trace, TraceHop, TraceRequest, Why, WhyEnd, WhyPlace, WhyRequest
from pulse.schemas.pin import PinInfo, PinRequest, UnpinRequest
from pulse.schemas.topology import Topology, TopologyLink

ID = "4be27a3391c0" + "5" * 52
AWAY = "not linked with relay-9 at present, so the best path is used"

RELAY = TraceHop(ID, "relay-01", "10.100.41.7", "quic", 0.0228, 0.0, 0.0228)
PLACE = WhyPlace("203.0.113.7:41641", 11, 0, 0, "")
HEARD = WhyPlace("198.51.100.4:443", 11, 1, 2, "")
LOST = WhyPlace("192.168.1.7:443", 0, 0, 0, "no answer")
REASON = Why(
    "symmetric_nat",
    "laptop is reached by quic over relay-01, because laptop is behind a symmetric NAT.",
    "let the router of laptop map a port",
    WhyEnd(
        ID,
        "db-server",
        True,
        "",
        "quic",
        "relay-01",
        0.061,
        0.0,
        "cone",
        2,
        ["198.51.100.4:443"],
        17.0,
        "no probe got through",
        2,
        [PLACE],
    ),
    WhyEnd(
        "9" * 64, "laptop", True, "", "quic", "relay-01", 0.061, 0.0, "symmetric", 3, [], 21.0, "", 2, [LOST, HEARD]
    ),
)
LAPTOP = TraceHop("9" * 64, "laptop", "10.100.9.140", "websocket", 0.038, 0.004, 0.0608)


def pinned(via: str = "relay-01", *, direct: bool = False, problem: str = "") -> PinInfo:
    """db-server, pinned."""
    name, to = ("db-server", "9" * 64) if direct else (via, ID)
    return PinInfo("9" * 64, "db-server", name, to, direct=direct, followed=not problem, problem=problem)


class FakeWays:
    """Why, and over whom, laptop is reached; and where db-server can be pinned."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked
        self.reason = REASON
        self.links = Topology([ID, "9" * 64], [TopologyLink(0, 1, 0.0228, 0.0, "quic")])
        self.way = Trace("9" * 64, "laptop", "10.100.9.140", [RELAY, LAPTOP], 0.061, "")

    async def topology(self) -> Topology:
        return self.links

    async def trace(self, wanted: TraceRequest) -> Trace:
        self.asked.append(wanted)
        if wanted.node == "nobody":
            raise NotFound('no node is called "nobody". See the nodes: pulse status')
        return self.way

    async def why(self, wanted: WhyRequest) -> Why:
        self.asked.append(wanted)
        if wanted.node == "nobody":
            raise NotFound('no node is called "nobody". See the nodes: pulse status')
        return self.reason

    async def pin(self, wanted: PinRequest) -> PinInfo:
        self.asked.append(wanted)
        if wanted.node_id == "nobody":
            raise NotFound('no node is called "nobody". See the nodes: pulse status')
        return pinned(wanted.via, direct=wanted.direct, problem=AWAY if wanted.via == "relay-9" else "")

    async def unpin(self, wanted: UnpinRequest) -> PinInfo:
        self.asked.append(wanted)
        if wanted.node_id != "db-server":
            raise NotFound(f"{wanted.node_id} is not pinned (pinned: db-server). See: pulse status")
        return PinInfo("9" * 64, "db-server", "", "", direct=False, followed=False, problem="")
