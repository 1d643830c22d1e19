"""A node that answers from memory, and a real control socket in front of it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import structs

from pulse import certschemas, eventschemas, pathschemas, schemas, scribeschemas
from pulse.api.app import build
from pulse.api.server import ApiService, ControlSocket
from pulse.errors import ConfigError, Conflict, LinkError, NotFound, Refused
from tests.api.fake_acls import FakeAcls, FakeHits
from tests.api.fake_configs import FakeFile, FakeTemplates

ID = "4be27a3391c0" + "5" * 52
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

AWAY = "not linked with relay-9 at present, so the best path is used"

IDENTITY = schemas.NodeIdentity(
    ID, "relay-01", "mynet", CA_HASH, "10.100.41.7", "fd7a::33", ["ca", "scribe"], ["infra"]
)
KEY = scribeschemas.ApiKeyInfo("c0ffee123456", "grafana", "read", 1000.0)
TOKEN = schemas.TokenInfo("ab" * 16, 1000.0, None, 1, 0, ["db"], None, False, "good")

KEPT = "a network keeps its scribe until another node takes its place.\nName that one: pulse ca grant <node> scribe"
ROLES = schemas.RolesInfo(
    2,
    1,
    [
        schemas.NodeRole(ID, "relay-01", "ca", ""),
        schemas.NodeRole("9" * 64, "db-server", "scribe", ""),
        schemas.NodeRole("7" * 64, "laptop", "operator", "revoked"),
    ],
)

RELAY = pathschemas.TraceHop(ID, "relay-01", "10.100.41.7", "quic", 0.0228, 0.0, 0.0228)
PLACE = pathschemas.WhyPlace("203.0.113.7:41641", 11, 0, 0, "")
HEARD = pathschemas.WhyPlace("198.51.100.4:443", 11, 1, 2, "")
LOST = pathschemas.WhyPlace("192.168.1.7:443", 0, 0, 0, "no answer")
REASON = pathschemas.Why(
    "symmetric_nat",
    "laptop is reached by quic over relay-01, because laptop is behind a symmetric NAT.",
    "let the router of laptop map a port",
    pathschemas.WhyEnd(
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
    pathschemas.WhyEnd(
        "9" * 64, "laptop", True, "", "quic", "relay-01", 0.061, 0.0, "symmetric", 3, [], 21.0, "", 2, [LOST, HEARD]
    ),
)
JOINED = eventschemas.EventInfo(3, 1000.0, "join", "9" * 64, "laptop", {"v4": "10.100.9.140"})
ROAMED = eventschemas.EventInfo(
    4, 1007.0, "path", "9" * 64, "laptop", {"link": "websocket", "via": "relay-01", "was": ""}
)
MOMENT = eventschemas.Moment(
    1010.0, "db-server", "running", 1007.0, 1020.0, "1.7",
    [eventschemas.PastPeer("9" * 64, "laptop", "10.100.9.140", "websocket", "relay-01", 1007.0, ["scribe"]),
     eventschemas.PastPeer("8" * 64, "cam-7", "10.100.77.2", "-", "", None, [])],
    ["cam-1"],
)  # fmt: skip
LAPTOP = pathschemas.TraceHop("9" * 64, "laptop", "10.100.9.140", "websocket", 0.038, 0.004, 0.0608)


def peer(name: str = "db-server", **changes: object) -> schemas.PeerRow:
    values: dict[str, object] = {
        "id": "9" * 64, "name": name, "v4": "10.100.87.53", "v6": "fd7a::9", "roles": [], "link": "quic", "via": "",
        "rtt": 0.0228, "jitter": 0.001, "loss": 0.0, "suspect": False, "seen": 0.0, "address": "198.51.100.4:443",
        "last_error": "", "bytes_in": 1, "bytes_out": 2,
    }  # fmt: skip
    return schemas.PeerRow(**(values | changes))  # type: ignore[arg-type]


def pinned(via: str = "relay-01", *, direct: bool = False, problem: str = "") -> schemas.PinInfo:
    """db-server, pinned."""
    name, to = ("db-server", "9" * 64) if direct else (via, ID)
    return schemas.PinInfo("9" * 64, "db-server", name, to, direct=direct, followed=not problem, problem=problem)


def made(wanted: schemas.TokenRequest) -> schemas.TokenInfo:
    """A token that was wanted so; what a template says is not looked up."""
    expires = None if wanted.ttl is None else TOKEN.created + wanted.ttl
    return structs.replace(TOKEN, expires=expires, max_uses=wanted.max_uses, name=wanted.name)


class FakeBulk:
    """One node fits every pattern but `nobody`."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked

    async def change(self, wanted: scribeschemas.BulkRequest) -> scribeschemas.BulkDone:
        self.asked.append(wanted)
        if wanted.pattern == "nobody":
            raise NotFound('no node is called "nobody". See the nodes: pulse status')
        return scribeschemas.BulkDone([scribeschemas.BulkNode(ID, "relay-01", ["edge"])], done=not wanted.dry_run)


class FakeRotation:
    """A CA whose key can be replaced once, for which it waits for one node."""

    def __init__(self) -> None:
        self.told = certschemas.CaRotation("done", 0, CA_HASH, None, [], 0, "nothing")

    async def status(self) -> certschemas.CaRotation:
        return self.told

    async def rotate(self) -> certschemas.CaRotation:
        if self.told.step != "done":
            raise Conflict("the CA's key is being replaced already")
        awaited = certschemas.AwaitedNode("9" * 64, "laptop", False, 2000.0)
        self.told = certschemas.CaRotation("renewing", 1, "b" * 64, 1000.0, [awaited], 2, "it is retired")
        return self.told


class FakeControl:
    """Implements `pulse.api.control.Control`; `stopped` tells that it was asked to stop."""

    def __init__(self, *peers: schemas.PeerRow) -> None:
        self.peers = [*peers] or [peer()]
        self.entries = [schemas.JournalEntry(n, 1000.0 + n, "token created", {"id": str(n)}) for n in range(1, 2501)]
        self.events_kept = [JOINED, ROAMED]
        self.trouble = ""
        self.moment = MOMENT
        self.asked: list[object] = []
        self.acls = FakeAcls(self.asked)
        self.bulk = FakeBulk(self.asked)
        self.hits = FakeHits(self.asked)
        self.file = FakeFile(self.asked)
        self.templates = FakeTemplates(self.asked)
        self.rotation = FakeRotation()
        self.stopped = threading.Event()
        self.reason = REASON
        self.generation = 7
        self.way = pathschemas.Trace("9" * 64, "laptop", "10.100.9.140", [RELAY, LAPTOP], 0.061, "")

    async def status(self) -> scribeschemas.MeshState:
        return scribeschemas.MeshState(
            True, "All well. 2 nodes, 2 direct.", IDENTITY, "0.1.0", 60.0, "0.0.0.0:443", "", 7e6, self.peers, {},
            stats={ID: scribeschemas.Traffic(1, 2)}, revoked_ids=[], node_meta={}, acl_rules=[], scribe_id=ID,
            network_id="mynet", mesh_cidr="10.100.0.0/16",
        )  # fmt: skip

    async def config(self) -> tuple[tuple[int, int], dict[str, Any]]:
        return (1, self.generation), {"scribe_epoch": 1, "generation": self.generation, "names": {}, "tags": {}}

    async def put_config(
        self, wanted: dict[str, Any], base: tuple[int, int] | None
    ) -> tuple[tuple[int, int], dict[str, Any]]:
        self.asked.append((wanted, base))
        self.generation += 1
        return await self.config()

    async def identity(self) -> schemas.NodeIdentity:
        return IDENTITY

    async def certificate(self) -> schemas.CertificateInfo:
        return schemas.CertificateInfo(ID, "relay-01", [], ["10.100.41.7"], "0f", 0.0, 7e6, 7e6, CA_HASH, True)

    async def certificates(self) -> list[certschemas.FleetCertificate]:
        return [
            certschemas.FleetCertificate("c" * 64, "cam-7", 0.0, 1e6, -5.0, "ended", False),
            certschemas.FleetCertificate("d" * 64, "db", 0.0, 6e6, 6 * 86400.0, "late", True),
            certschemas.FleetCertificate(ID, "relay-01", 0.0, 7e6, 7e6, "good", True),
        ]

    async def create_token(self, wanted: schemas.TokenRequest) -> schemas.TokenCreated:
        self.asked.append(wanted)
        if wanted.name == "abc":
            raise Refused(WEAK)
        return schemas.TokenCreated("s" * 43 + "." + CA_HASH, made(wanted))

    async def list_tokens(self) -> list[schemas.TokenInfo]:
        return [TOKEN]

    async def revoke_token(self, prefix: str) -> schemas.TokenInfo:
        self.asked.append(prefix)
        if not TOKEN.id.startswith(prefix):
            raise NotFound(f'no token begins with "{prefix}". See them: pulse token list')
        return TOKEN

    async def master_token(self) -> schemas.MasterToken:
        return schemas.MasterToken("m" * 43)

    async def invite(self, wanted: schemas.TokenRequest) -> schemas.Invite:
        self.asked.append(wanted)
        return schemas.Invite("pls_eyJh", ["relay.example.com:443"], made(wanted))

    async def set_name(self, wanted: schemas.NameRequest) -> schemas.NodeNaming:
        self.asked.append(wanted)
        if wanted.name == "db-server":
            raise Conflict(TAKEN)
        return schemas.NodeNaming(ID, wanted.name, ["edge"], "1.7")

    async def add_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming:
        self.asked.append(wanted)
        return schemas.NodeNaming(ID, "relay-01", ["edge", wanted.tag], "1.7")

    async def remove_tag(self, wanted: schemas.TagRequest) -> schemas.NodeNaming:
        self.asked.append(wanted)
        if wanted.tag != "edge":
            raise NotFound(f'relay-01 has no tag "{wanted.tag}" (it has: edge)')
        return schemas.NodeNaming(ID, "relay-01", [], "1.7")

    async def roles(self) -> schemas.RolesInfo:
        return ROLES

    async def grant(self, wanted: schemas.RoleRequest) -> schemas.RolesInfo:
        self.asked.append(wanted)
        return ROLES

    async def ungrant(self, wanted: schemas.RoleRequest) -> schemas.RolesInfo:
        self.asked.append(wanted)
        if wanted.role == "scribe":
            raise Refused(KEPT)
        return ROLES

    async def revoke(self, wanted: schemas.RevokeRequest) -> schemas.Revoked:
        self.asked.append(wanted)
        if wanted.node_id == "relay-01" and not wanted.force:
            raise Refused(LAST)
        name = ID[:12] if wanted.node_id == ID else wanted.node_id
        return schemas.Revoked(ID, name, "ca")

    async def ca_log(self, after: int, limit: int) -> list[schemas.JournalEntry]:
        return [entry for entry in self.entries if entry.seq > after][:limit]

    async def ca_verify(self) -> schemas.JournalCheck:
        return schemas.JournalCheck(len(self.entries), None, "")

    async def events(self, wanted: eventschemas.EventsQuery) -> eventschemas.Events:
        self.asked.append(wanted)
        if wanted.type == "foo":
            raise ConfigError('"foo" is no type of event. There are: start, join')
        found = [each for each in self.events_kept if wanted.after is None or each.seq > wanted.after]
        found = found[: wanted.limit] if wanted.after is not None else found[-wanted.limit :]
        return eventschemas.Events(found, self.trouble, 3 if self.trouble else 0)

    async def events_verify(self) -> schemas.JournalCheck:
        return schemas.JournalCheck(2, None, "")

    async def events_at(self, wanted: eventschemas.MomentQuery) -> eventschemas.Moment:
        self.asked.append(wanted)
        return self.moment

    async def ping(self, wanted: schemas.PingRequest) -> schemas.PingReply:
        self.asked.append(wanted)
        if wanted.node == "cam-7":
            raise LinkError("cam-7 did not answer within 1 s")
        if wanted.node == "bug":
            raise ZeroDivisionError("a detail that stays in the log")
        return schemas.PingReply(ID, "db-server", "10.100.87.53", 0.0228, "quic", "")

    async def trace(self, wanted: pathschemas.TraceRequest) -> pathschemas.Trace:
        self.asked.append(wanted)
        if wanted.node == "nobody":
            raise NotFound('no node is called "nobody". See the nodes: pulse status')
        return self.way

    async def why(self, wanted: pathschemas.WhyRequest) -> pathschemas.Why:
        self.asked.append(wanted)
        if wanted.node == "nobody":
            raise NotFound('no node is called "nobody". See the nodes: pulse status')
        return self.reason

    async def pin(self, wanted: schemas.PinRequest) -> schemas.PinInfo:
        self.asked.append(wanted)
        if wanted.node_id == "nobody":
            raise NotFound('no node is called "nobody". See the nodes: pulse status')
        return pinned(wanted.via, direct=wanted.direct, problem=AWAY if wanted.via == "relay-9" else "")

    async def unpin(self, wanted: schemas.UnpinRequest) -> schemas.PinInfo:
        self.asked.append(wanted)
        if wanted.node_id != "db-server":
            raise NotFound(f"{wanted.node_id} is not pinned (pinned: db-server). See: pulse status")
        return schemas.PinInfo("9" * 64, "db-server", "", "", direct=False, followed=False, problem="")

    async def create_api_key(self, wanted: scribeschemas.ApiKeyRequest) -> scribeschemas.ApiKeyCreated:
        self.asked.append(wanted)
        return scribeschemas.ApiKeyCreated("plk_" + "k" * 43, KEY)

    async def list_api_keys(self) -> list[scribeschemas.ApiKeyInfo]:
        return [KEY]

    async def revoke_api_key(self, named: str) -> scribeschemas.ApiKeyInfo:
        self.asked.append(named)
        if named not in (KEY.name, KEY.id[:4]):
            raise NotFound(f'no key is named "{named}" or begins so. See them: pulse api-key list')
        return KEY

    async def stop(self) -> schemas.Stopping:
        self.stopped.set()
        return schemas.Stopping(4711)


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
