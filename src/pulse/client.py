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

import h11
import msgspec

from pulse.channel import Channel, Remote, remote
from pulse.config import SERVICE_SOCKET, SOCKET_NAME, absolute, socket_in
from pulse.core.addresses import is_loopback, join
from pulse.errors import ConfigError, LinkError, PulseError, Refused
from pulse.schemas.cert import FleetCertificate
from pulse.schemas.node import CertificateInfo, NodeIdentity, PingReply, PingRequest, Status, Stopping
from pulse.schemas.scribe import MeshState
from pulse.schemas.structs import Body, Problem

API_URL: Final = "PULSE_API_URL"
API_KEY: Final = "PULSE_API_KEY"
"""Variables that lead to a node elsewhere."""

TIMEOUT: Final = 10.0
"""Seconds a node has to answer."""

SCRIBE_PATIENCE: Final = 10.0
"""Seconds more where the scribe is asked, elsewhere in the mesh."""

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
            raise LinkError(f"no node answers at {path}: {error.strerror or error}{_elsewhere(path)}") from error

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

    def ping(self, node: str, timeout: float = 5.0) -> PingReply:
        """One echo; raises LinkError if none comes within `timeout` seconds (at most 60)."""
        request = PingRequest(node, timeout)
        return self.call("POST", "/api/ping", PingReply, request, patience=timeout)

    def follow(self, path: str, pause: float) -> Iterator[bytes]:
        """What the node tells at `path` as it happens, and b"" after every `pause` seconds without a word of it.

        This connection is for nothing else then. Raises LinkError if the node hangs up.
        """
        try:
            yield from self._channel.follow(path, pause)
        except (OSError, h11.ProtocolError) as error:
            raise LinkError(f"the node at {self.path} hung up ({type(error).__name__}). Is it stopping?") from error

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


def _elsewhere(path: Path | Remote) -> str:
    """What keeps an API from answering a caller on another machine."""
    if not isinstance(path, Remote) or is_loopback(path.host):
        return ""
    return (
        f".\nThe API is on loopback unless that node was told --scribe-listen {join(path.host, path.port)}; "
        f"and the rules have to let tcp {path.port} pass: pulse acl explain <this node> <that node>:{path.port}"
    )


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
