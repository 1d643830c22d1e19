"""The typed client of a node's API: one call, one answer, over its control socket, or with a key from elsewhere.

Invariant: no event loop and no cryptography is imported here, so `pulse status` answers at once; an error of
the node arrives as the same class with the same words.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import h11
import msgspec

from pulse.channel import Channel, Remote, remote
from pulse.config import SERVICE_SOCKET, SOCKET_NAME, absolute, socket_in
from pulse.errors import ConfigError, LinkError, PulseError, Refused
from pulse.schemas.apikeys import ApiKeyCreated, ApiKeyInfo, ApiKeyRequest
from pulse.schemas.bulk import BulkDone, BulkRequest
from pulse.schemas.cert import CaRotation, FleetCertificate
from pulse.schemas.config import ConfigFile, ConfigPlan, ConfigWanted, TemplateRef, TemplateRequest, TemplateView
from pulse.schemas.events import EventInfo, Events, EventsQuery, Moment
from pulse.schemas.journal import JournalCheck, JournalEntry
from pulse.schemas.names import NameRequest, NodeNaming, TagRequest
from pulse.schemas.node import CertificateInfo, NodeIdentity, PingReply, PingRequest, Status, Stopping
from pulse.schemas.paths import Trace, TraceRequest, Why, WhyRequest
from pulse.schemas.pin import PinInfo, PinRequest, UnpinRequest
from pulse.schemas.revoke import Revoked, RevokeRequest
from pulse.schemas.roles import GivenRole, RoleRequest, RolesInfo
from pulse.schemas.scribe import MeshState
from pulse.schemas.structs import Body, Problem

API_URL: Final = "PULSE_API_URL"
API_KEY: Final = "PULSE_API_KEY"
"""Variables that lead to a node elsewhere."""

TIMEOUT: Final = 10.0
"""Seconds a node has to answer."""

SCRIBE_PATIENCE: Final = 10.0
"""Seconds more where the scribe is asked, elsewhere in the mesh."""

_MOST_QUESTIONS: Final = 17
"""Of a trace: sixteen hops and a ping."""
_LONGEST_SOCKET_PATH: Final = 107
_ERRORS: Final = {kind.__name__: kind for kind in PulseError.__subclasses__()}
_T = TypeVar("_T")


class Client:
    """A connection to a node, at a Unix socket or elsewhere; closes with `with`."""

    def __init__(self, path: Path | Remote, timeout: float = TIMEOUT) -> None:
        """Connect; raises LinkError if nobody listens there, Refused if we may not."""
        self.path = path
        self._timeout = timeout
        try:
            self._channel = Channel(path)
        except PermissionError as error:
            raise Refused(
                f"the node at {path} is not yours to control ({_owner(path)}).\n"
                "Use sudo, or become a member of its group: usermod -aG pulse <you>"
            ) from error
        except OSError as error:
            raise LinkError(f"no node answers at {path}: {error.strerror or error}") from error

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def interrupt(self) -> None:
        """End the call under way in another thread: it raises LinkError there."""
        with contextlib.suppress(OSError):
            self._channel.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up."""
        self._channel.socket.close()

    @property
    def pid(self) -> int:
        """Process of the node, by the kernel's word; 0 if it lives where we cannot see it."""
        if isinstance(self.path, Remote):
            return 0
        size = struct.calcsize("3i")
        credentials = self._channel.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        return int(struct.unpack("3i", credentials)[0])

    def status(self) -> Status:
        """The state of the mesh."""
        return self.get("/api/status", Status)

    def mesh(self) -> MeshState:
        """The same, and what CA and scribe have said."""
        return self.get("/api/status", MeshState)

    def identity(self) -> NodeIdentity:
        """Who the node is."""
        return self.get("/api/id", NodeIdentity)

    def certificate(self) -> CertificateInfo:
        """The node's certificate."""
        return self.get("/api/cert", CertificateInfo)

    def certificates(self) -> list[FleetCertificate]:
        """The certificates of all nodes that the node knows."""
        return self.get("/api/certs", list[FleetCertificate])

    def stop(self) -> Stopping:
        """Ask the node to stop; it is still there when this returns."""
        return self.call("POST", "/api/stop", Stopping)

    def set_name(self, node: str, name: str) -> NodeNaming:
        """Name a node, on the scribe, the CA or an operator."""
        return self._renamed("PUT", "/api/name", NameRequest(node, name))

    def add_tag(self, node: str, tag: str) -> NodeNaming:
        """Give a node a tag, on the scribe, the CA or an operator."""
        return self._renamed("POST", "/api/tags", TagRequest(node, tag))

    def remove_tag(self, node: str, tag: str) -> NodeNaming:
        """Take a tag from a node, on the scribe, the CA or an operator."""
        return self._renamed("DELETE", "/api/tags", TagRequest(node, tag))

    def roles(self) -> RolesInfo:
        """Who has which role."""
        return self.get("/api/roles", RolesInfo)

    def grant(self, wanted: RoleRequest) -> RolesInfo:
        """Give a node a role, on the CA."""
        return self.call("POST", "/api/roles", RolesInfo, wanted)

    def ungrant(self, node: str, role: GivenRole) -> RolesInfo:
        """Take a role from a node, on the CA."""
        return self.call("DELETE", "/api/roles", RolesInfo, RoleRequest(node, role))

    def bulk(self, request: BulkRequest) -> BulkDone:
        """Change many nodes."""
        return self.call("POST", "/api/bulk", BulkDone, request, patience=60.0)

    def config_file(self) -> ConfigFile:
        """The whole network config in force, as a file has it."""
        return self.get("/api/config/file", ConfigFile)

    def plan_config(self, wanted: ConfigWanted) -> ConfigPlan:
        """What a file of the whole network would change."""
        return self.call("POST", "/api/config/plan", ConfigPlan, wanted, patience=SCRIBE_PATIENCE)

    def apply_config(self, wanted: ConfigWanted, planned: str) -> ConfigPlan:
        """Put a file in place of what is in force, if that is still the version it was planned on."""
        kind = ConfigPlan
        return self.call("PUT", "/api/config/file", kind, wanted, patience=SCRIBE_PATIENCE, seen=planned)

    def templates(self) -> list[TemplateView]:
        """Every template, by name."""
        return self.get("/api/templates", list[TemplateView])

    def set_template(self, request: TemplateRequest) -> TemplateView:
        """Have a template."""
        return self._template("PUT", request)

    def remove_template(self, name: str) -> TemplateView:
        """Take a template away."""
        return self._template("DELETE", TemplateRef(name))

    def pin(self, node: str, via: str = "", *, direct: bool = False) -> PinInfo:
        """Reach a node by the neighbour `via`, or by its own link."""
        return self.call("PUT", "/api/pins", PinInfo, PinRequest(node, via, direct))

    def unpin(self, node: str) -> PinInfo:
        """Reach a node by the best path again."""
        return self.call("DELETE", "/api/pins", PinInfo, UnpinRequest(node))

    def revoke(self, node: str, *, force: bool = False) -> Revoked:
        """Shut a node out for good, on the scribe, the CA or an operator; `force` for the last CA or scribe."""
        return self.call("POST", "/api/revoke", Revoked, RevokeRequest(node, force))

    def create_api_key(self, request: ApiKeyRequest) -> ApiKeyCreated:
        """Make a key to the HTTP API."""
        return self.call("POST", "/api/keys", ApiKeyCreated, request)

    def list_api_keys(self) -> list[ApiKeyInfo]:
        """Every key to the HTTP API, oldest first."""
        return self.get("/api/keys", list[ApiKeyInfo])

    def revoke_api_key(self, named: str) -> ApiKeyInfo:
        """End the key of that name, or whose id begins so."""
        return self.call("DELETE", f"/api/keys/{quote(named or '-', safe='')}", ApiKeyInfo)

    def ca_log(self, after: int = 0, limit: int = 1000) -> list[JournalEntry]:
        """At most `limit` (≤ 1000) entries of the CA's journal after number `after`, oldest first."""
        return self.get(f"/api/ca/log?after={after}&limit={limit}", list[JournalEntry])

    def ca_verify(self) -> JournalCheck:
        """Check the CA's journal from its first entry."""
        return self.get("/api/ca/verify", JournalCheck)

    def ca_rotation(self) -> CaRotation:
        """How far the replacement of the CA's key is."""
        return self.get("/api/ca/rotation", CaRotation)

    def ca_rotate(self) -> CaRotation:
        """Begin to replace the CA's key."""
        return self.call("POST", "/api/ca/rotation", CaRotation)

    def events(self, wanted: EventsQuery) -> Events:
        """Entries of the node's journal: the newest that fit, or those after a number; oldest first."""
        given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value not in ("", None)}
        return self.get(f"/api/events?{urlencode(given)}", Events)

    def follow_events(self, pause: float) -> Iterator[EventInfo | None]:
        """Events as they happen, and None after every `pause` seconds without one; this connection is for nothing else.

        Raises LinkError if the node hangs up.
        """
        try:
            for data in self._channel.follow("/api/events", pause):
                yield msgspec.json.decode(data, type=EventInfo) if data else None
        except (OSError, h11.ProtocolError, msgspec.DecodeError) as error:
            raise LinkError(f"the node at {self.path} hung up ({type(error).__name__}). Is it stopping?") from error

    def events_verify(self) -> JournalCheck:
        """Check the node's journal from its oldest entry."""
        return self.get("/api/events/verify", JournalCheck)

    def events_at(self, time: float) -> Moment:
        """The mesh as the node saw it at `time`, seconds since 1970."""
        return self.get(f"/api/events/at?{urlencode({'time': time})}", Moment)

    def ping(self, node: str, timeout: float = 5.0) -> PingReply:
        """One echo; raises LinkError if none comes within `timeout` seconds (at most 60)."""
        request = PingRequest(node, timeout)
        return self.call("POST", "/api/ping", PingReply, request, patience=timeout)

    def trace(self, node: str, timeout: float = 3.0) -> Trace:
        """The way frames take; each hop has `timeout` seconds (at most 10) to answer."""
        request = TraceRequest(node, timeout)
        return self.call("POST", "/api/trace", Trace, request, patience=timeout * _MOST_QUESTIONS)

    def why(self, node: str, source: str = "", timeout: float = 5.0) -> Why:
        """Why a node is reached as it is, from here or from `source`; each end has `timeout` seconds (at most 10)."""
        request = WhyRequest(node, source, timeout)
        return self.call("POST", "/api/why", Why, request, patience=timeout)

    def _renamed(self, method: str, path: str, body: Body) -> NodeNaming:
        return self.call(method, path, NodeNaming, body, patience=SCRIBE_PATIENCE)

    def _template(self, method: str, body: Body) -> TemplateView:
        return self.call(method, "/api/templates", TemplateView, body, patience=SCRIBE_PATIENCE)

    def get(self, path: str, kind: type[_T]) -> _T:
        """What the node says at `path`. Raises PulseError."""
        return self.call("GET", path, kind)

    def call(
        self,
        method: str,
        path: str,
        kind: type[_T],
        body: Body | None = None,
        *,
        patience: float = 0.0,
        seen: str = "",
    ) -> _T:
        """One call; `patience` is how many seconds longer than usual the answer may take, `seen` what it is about."""
        content = b"" if body is None else msgspec.json.encode(body)
        seconds = self._timeout + patience
        try:
            status, data = self._channel.exchange(method, path, content, seconds, seen)
        except TimeoutError as error:
            raise LinkError(f"the node at {self.path} did not answer within {seconds:g} s") from error
        except (OSError, h11.ProtocolError) as error:
            raise LinkError(f"the node at {self.path} hung up ({type(error).__name__}). Is it stopping?") from error
        if status >= 400:
            raise _error(data, status)
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.DecodeError as error:
            raise LinkError(f"the node at {self.path} speaks another version of pulse: restart it") from error


def connect(data_dir: Path | None = None, environment: Mapping[str, str] = os.environ) -> Client:
    """The node that runs here; raises LinkError that says which sockets were asked.

    Where PULSE_API_URL names one elsewhere, and no data directory was named, it is that one, by PULSE_API_KEY.
    """
    if data_dir is None and (url := environment.get(API_URL)):
        return Client(remote(url, environment.get(API_KEY, "")))
    asked = candidates(data_dir, environment)
    for path in asked:
        if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
            raise ConfigError(f"{path} is too long for a Unix socket: set [control] socket to a shorter path")
        with contextlib.suppress(LinkError):
            return Client(path)
    where = ", ".join(str(path) for path in asked)
    raise LinkError(f"no pulse node is running here (asked {where}).\nStart one: pulse start")


def candidates(data_dir: Path | None = None, environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Sockets to ask, in order. A data directory that was named is the only one meant: another node won't do."""
    if data_dir is not None:
        return [socket_in(absolute(str(data_dir)))]
    if environment.get("PULSE_CONTROL_SOCKET"):
        return [absolute(environment["PULSE_CONTROL_SOCKET"])]
    if environment.get("PULSE_DATA_DIR"):
        return [socket_in(absolute(environment["PULSE_DATA_DIR"]))]
    return [Path.home() / ".pulse" / SOCKET_NAME, SERVICE_SOCKET]


def _owner(path: Path | Remote) -> str:
    if isinstance(path, Remote):
        return "it is elsewhere"
    try:
        return f"it belongs to uid {path.stat().st_uid}"
    except OSError:
        return "its directory is closed to you"


def _error(data: bytes, status: int) -> PulseError:
    try:
        problem = msgspec.json.decode(data, type=Problem)
    except msgspec.DecodeError:
        return PulseError(f"the node answered with HTTP status {status} and no word of why")
    return _ERRORS.get(problem.error, PulseError)(problem.detail or problem.title)
