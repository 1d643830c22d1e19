"""A node that answers from memory, and a real control socket in front of it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import structs

from pulse.api.app import build
from pulse.api.control import Control
from pulse.api.server import ApiService, ControlSocket
from pulse.errors import Conflict, LinkError, NotFound, Refused
from pulse.schemas.apikeys import ApiKeyCreated, ApiKeyInfo, ApiKeyRequest
from pulse.schemas.bulk import BulkDone, BulkNode, BulkRequest
from pulse.schemas.cert import AwaitedNode, CaRotation, FleetCertificate, RotationWithout
from pulse.schemas.names import NameRequest, NodeNaming, TagRequest
from pulse.schemas.node import CertificateInfo, NodeIdentity, PeerRow, PingReply, PingRequest, Stopping
from pulse.schemas.revoke import Revoked, RevokeRequest
from pulse.schemas.roles import NodeRole, RoleRequest, RolesInfo
from pulse.schemas.scribe import MeshState
from pulse.schemas.stats import Traffic
from pulse.schemas.tokens import Invite, MasterToken, TokenCreated, TokenInfo, TokenRequest
from pulse.services.tokens import INVITE_TTL
from tests.api.fake_acls import FakeAcls, FakeHits
from tests.api.fake_configs import FakeFile, FakeTemplates
from tests.api.fake_dns import FakeZones
from tests.api.fake_journals import FakeCaLog, FakeHistory
from tests.api.fake_operations import FakeDoctor, FakeOperating
from tests.api.fake_resolver import FakeResolver
from tests.api.fake_routes import FakeRoutes
from tests.api.fake_stats import FakeMetrics, FakeStats
from tests.api.fake_ways import ID, FakeWays
from tests.api.fake_whereabouts import FakeWhereabouts

CA_HASH = "a91f22c077e4" + "1" * 52
WEAK = (
    "this token is too short to be safe (3 characters, 32 needed).\n"
    "Make one on the CA: pulse token create --ttl 1h --max-uses 1"
)

TAKEN = (
    "db-server is the name of 999999999999 already.\n"
    "Take another, or rename that one first: pulse name 999999999999 <other name>"
)
LAST = (
    "4be27a3391c0 is the last CA: revoked, nobody joins this network any more.\n"
    "If that is meant: pulse revoke --node 4be27a3391c0 --force"
)

IDENTITY = NodeIdentity(ID, "relay-01", "mynet", CA_HASH, "10.100.41.7", "fd7a::33", ["ca", "scribe"], ["infra"])
KEY = ApiKeyInfo("c0ffee123456", "grafana", "read", 1000.0)
TOKEN = TokenInfo("ab" * 16, 1000.0, None, 1, 0, ["db"], None, False, "good")

KEPT = "a network keeps its scribe until another node takes its place.\nName that one: pulse ca grant <node> scribe"
ROLES = RolesInfo(
    2,
    1,
    [
        NodeRole(ID, "relay-01", "ca", ""),
        NodeRole("9" * 64, "db-server", "scribe", ""),
        NodeRole("7" * 64, "laptop", "operator", "revoked"),
    ],
)


def peer(name: str = "db-server", **changes: object) -> PeerRow:
    values: dict[str, object] = {
        "id": "9" * 64, "name": name, "v4": "10.100.87.53", "v6": "fd7a::9", "roles": [], "link": "quic", "via": "",
        "rtt": 0.0228, "jitter": 0.001, "loss": 0.0, "suspect": False, "seen": 0.0, "address": "198.51.100.4:443",
        "last_error": "", "bytes_in": 1, "bytes_out": 2,
    }  # fmt: skip
    return PeerRow(**(values | changes))  # type: ignore[arg-type]


def made(wanted: TokenRequest) -> TokenInfo:
    """A token that was wanted so; every template is for one machine called web-1, and for 4 hours."""
    expires = None if wanted.ttl is None else TOKEN.created + wanted.ttl
    token = structs.replace(TOKEN, expires=expires, max_uses=wanted.uses(1 if wanted.name else 0), name=wanted.name)
    if wanted.template is None:
        return token
    filled = {"expires": expires or TOKEN.created + 4 * 3600, "name": wanted.name or "web-1"}
    return structs.replace(token, tags=["web", *wanted.tags], max_uses=wanted.uses(1), **filled)


class FakeBulk:
    """One node fits every pattern but `nobody`."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked

    async def change(self, wanted: BulkRequest) -> BulkDone:
        self.asked.append(wanted)
        if wanted.pattern == "nobody":
            raise NotFound('no node is called "nobody". See the nodes: pulse status')
        return BulkDone([BulkNode(ID, "relay-01", ["edge"])], done=not wanted.dry_run)


class FakeRotation:
    """A CA whose key can be replaced once, for which it waits for one node."""

    def __init__(self) -> None:
        self.told = CaRotation("done", 0, CA_HASH, None, [], 0, "nothing")

    async def status(self) -> CaRotation:
        return self.told

    async def rotate(self) -> CaRotation:
        if self.told.step != "done":
            raise Conflict("the CA's key is being replaced already")
        awaited = AwaitedNode("9" * 64, "laptop", False, 2000.0)
        self.told = CaRotation("renewing", 1, "b" * 64, 1000.0, [awaited], 2, "it is retired")
        return self.told

    async def go_on_without(self, wanted: RotationWithout) -> CaRotation:
        if "nobody" in wanted.nodes:
            raise NotFound('no node is called "nobody". See the nodes: pulse status')
        without = tuple(AwaitedNode(each[0] * 64, each, False, 2000.0) for each in wanted.nodes)
        self.told = structs.replace(self.told, awaited=[], more=0, without=without)
        return self.told


class FakeNode:
    """A node with these peers; `stopped` tells that it was asked to stop."""

    def __init__(self, asked: list[object], peers: list[PeerRow]) -> None:
        self.asked = asked
        self.peers = peers
        self.stopped = threading.Event()
        self.rotating = False

    async def status(self) -> MeshState:
        return MeshState(
            True, "All well. 2 nodes, 2 direct.", IDENTITY, "0.1.0", 60.0, "0.0.0.0:443", "", 7e6, self.peers, {},
            stats={ID: Traffic(1, 2)}, revoked_ids=[], node_meta={}, acl_rules=[], scribe_id=ID,
            network_id="mynet", mesh_cidr="10.100.0.0/16", ca_rotating=self.rotating,
        )  # fmt: skip

    async def identity(self) -> NodeIdentity:
        return IDENTITY

    async def certificate(self) -> CertificateInfo:
        rotating = self.rotating
        return CertificateInfo(
            ID, "relay-01", [], ["10.100.41.7"], "0f", 0.0, 7e6, 7e6, CA_HASH, True, rotating, rotating
        )

    async def certificates(self) -> list[FleetCertificate]:
        return [
            FleetCertificate("c" * 64, "cam-7", 0.0, 1e6, -5.0, "ended", False),
            FleetCertificate("d" * 64, "db", 0.0, 6e6, 6 * 86400.0, "late", True),
            FleetCertificate(ID, "relay-01", 0.0, 7e6, 7e6, "good", True),
        ]

    async def ping(self, wanted: PingRequest) -> PingReply:
        self.asked.append(wanted)
        if wanted.node == "cam-7":
            raise LinkError("cam-7 did not answer within 1 s")
        if wanted.node == "bug":
            raise ZeroDivisionError("a detail that stays in the log")
        return PingReply(ID, "db-server", "10.100.87.53", 0.0228, "quic", "")

    async def stop(self) -> Stopping:
        self.stopped.set()
        return Stopping(4711)


class FakeTokens:
    """One token."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked

    async def create(self, wanted: TokenRequest) -> TokenCreated:
        self.asked.append(wanted)
        if wanted.name == "abc":
            raise Refused(WEAK)
        return TokenCreated("s" * 43 + "." + CA_HASH, made(wanted))

    async def invite(self, wanted: TokenRequest) -> Invite:
        self.asked.append(wanted)
        if wanted.template is None:
            wanted = structs.replace(wanted, ttl=wanted.ttl or INVITE_TTL, max_uses=wanted.uses(1))
        return Invite("pls_eyJh", ["relay.example.com:443"], made(wanted))

    async def all(self) -> list[TokenInfo]:
        return [TOKEN]

    async def revoke(self, prefix: str) -> TokenInfo:
        self.asked.append(prefix)
        if not TOKEN.id.startswith(prefix):
            raise NotFound(f'no token begins with "{prefix}". See them: pulse token list')
        return TOKEN

    async def master(self) -> MasterToken:
        return MasterToken("m" * 43)


class FakeConfig:
    """A network config that is another one after each edit."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked
        self.generation = 7

    async def get(self) -> tuple[tuple[int, int], dict[str, Any]]:
        return (1, self.generation), {"scribe_epoch": 1, "generation": self.generation, "names": {}, "tags": {}}

    async def put(self, wanted: dict[str, Any], base: tuple[int, int] | None) -> tuple[tuple[int, int], dict[str, Any]]:
        self.asked.append((wanted, base))
        self.generation += 1
        return await self.get()


class FakeGovernance:
    """Names and tags of one node, the roles of three, and who is revoked."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked

    async def set_name(self, wanted: NameRequest) -> NodeNaming:
        self.asked.append(wanted)
        if wanted.name == "db-server":
            raise Conflict(TAKEN)
        return NodeNaming(ID, wanted.name, ["edge"], "1.7")

    async def add_tag(self, wanted: TagRequest) -> NodeNaming:
        self.asked.append(wanted)
        return NodeNaming(ID, "relay-01", ["edge", wanted.tag], "1.7")

    async def remove_tag(self, wanted: TagRequest) -> NodeNaming:
        self.asked.append(wanted)
        if wanted.tag != "edge":
            raise NotFound(f'relay-01 has no tag "{wanted.tag}" (it has: edge)')
        return NodeNaming(ID, "relay-01", [], "1.7")

    async def roles(self) -> RolesInfo:
        return ROLES

    async def grant(self, wanted: RoleRequest) -> RolesInfo:
        self.asked.append(wanted)
        return ROLES

    async def ungrant(self, wanted: RoleRequest) -> RolesInfo:
        self.asked.append(wanted)
        if wanted.role == "scribe":
            raise Refused(KEPT)
        return ROLES

    async def revoke(self, wanted: RevokeRequest) -> Revoked:
        self.asked.append(wanted)
        if wanted.node_id == "relay-01" and not wanted.force:
            raise Refused(LAST)
        name = ID[:12] if wanted.node_id == ID else wanted.node_id
        return Revoked(ID, name, "ca")


class FakeKeys:
    """One key to the API."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked

    async def create(self, wanted: ApiKeyRequest) -> ApiKeyCreated:
        self.asked.append(wanted)
        return ApiKeyCreated("plk_" + "k" * 43, KEY)

    async def all(self) -> list[ApiKeyInfo]:
        return [KEY]

    async def revoke(self, named: str) -> ApiKeyInfo:
        self.asked.append(named)
        if named not in (KEY.name, KEY.id[:4]):
            raise NotFound(f'no key is named "{named}" or begins so. See them: pulse api-key list')
        return KEY


class FakeControl(Control):
    """A node that answers from memory; `asked` has what it was asked to do."""

    node: FakeNode
    config: FakeConfig
    ca: FakeCaLog
    rotation: FakeRotation
    events: FakeHistory
    templates: FakeTemplates
    dns: FakeZones
    acls: FakeAcls
    hits: FakeHits
    resolver: FakeResolver
    doctor: FakeDoctor
    stats: FakeStats

    def __init__(self, *peers: PeerRow, node: type[FakeNode] = FakeNode) -> None:
        asked: list[object] = []
        governance, ways, operating = FakeGovernance(asked), FakeWays(asked), FakeOperating(asked)
        super().__init__(
            node=node(asked, [*peers] or [peer()]),
            topology=ways,
            trace=ways,
            why=ways,
            pins=ways,
            tokens=FakeTokens(asked),
            templates=FakeTemplates(asked),
            config=FakeConfig(asked),
            configfile=FakeFile(asked),
            names=governance,
            dns=FakeZones(asked),
            acls=FakeAcls(asked),
            hits=FakeHits(asked),
            bulk=FakeBulk(asked),
            roles=governance,
            revoke=governance,
            ca=FakeCaLog(),
            rotation=FakeRotation(),
            events=FakeHistory(asked),
            stats=FakeStats(asked),
            metrics=FakeMetrics(),
            apikeys=FakeKeys(asked),
            resolver=FakeResolver(asked),
            doctor=FakeDoctor(),
            reload=operating,
            remote=operating,
            routes=FakeRoutes(asked),
            whereabouts=FakeWhereabouts(asked),
        )
        self.asked = asked
        self.ways = ways


@contextmanager
def serving(path: Path, control: FakeControl) -> Iterator[FakeControl]:
    """Serve `control` on a Unix socket, from a thread of its own."""
    with running(ApiService(build(control), ControlSocket(path))):
        yield control


@contextmanager
def running(service: ApiService) -> Iterator[None]:
    """Run a service in a thread of its own, until the end of the block."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(service.run())

    def run() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(30)
        assert not thread.is_alive()
