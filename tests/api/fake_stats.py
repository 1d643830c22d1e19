"""A scribe that tells the traffic of two nodes."""

from pulse.errors import Refused
from pulse.schemas.stats import Family, Stats, StatsQuery, TrafficRow
from tests.api.fake_ways import ID

DB = "9" * 64
REFUSAL = (
    "relay-01 (4be27a3391c0) is no operator, and is told its own traffic alone: pulse stats\n"
    "Make it one, on the CA: pulse ca grant 4be27a3391c0 operator"
)

BY_NODE = Stats(
    "",
    "relay-01",
    True,
    "",
    [
        TrafficRow(ID, "relay-01", 12_000_000_000, 4100, 9000, 50, 7, 2, 0.0, 1500.0, 1_700_000_000.0),
        TrafficRow(DB, "db-server", 812, 0, 1, 0, 0, 0, None, None, 1_700_000_000.0),
    ],
)
BY_PEER = Stats("relay-01", "relay-01", True, "", [TrafficRow(DB, "db-server", 812, 999_950, 1, 2, 0, 0, None, 5.0)])


class FakeStats:
    """Traffic of two nodes; that of db-server is nobody's business."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked
        self.held = BY_NODE

    async def stats(self, wanted: StatsQuery) -> Stats:
        self.asked.append(wanted)
        if wanted.node == "db-server":
            raise Refused(REFUSAL)
        return BY_PEER if wanted.node else self.held


EVIL = 'a"b\\c\nd{}=,'
"""A name such as no node can have."""

LATENCY = Family("pulse_peer_latency_ms", "gauge", "Round trip, in\nmilliseconds \\ 1000.", ("node_id", "name"))
PEERS = Family("pulse_peers_total", "gauge", "Other nodes.")
DROPS = Family("pulse_drops_total", "counter", "Packets dropped.", ("reason",))
NEVER = Family("pulse_never", "gauge", "Nothing has it.")


class FakeMetrics:
    """Metrics of a mesh with an evil name."""

    async def metrics(self) -> dict[Family, dict[tuple[str, ...], float]]:
        return {
            PEERS: {(): 2},
            LATENCY: {(DB, EVIL): 22.8, (ID, "relay-01"): 0.0},
            DROPS: {("no_route",): 2**53 - 1},
            NEVER: {},
        }
