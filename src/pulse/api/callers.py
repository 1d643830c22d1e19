"""Who is at the other end of the control socket, by the kernel's word, and whether they may command this node.

Invariant: root, the node's own user and members of group `pulse` may; everybody else is told why not.
"""

import array
import grp
import os
import socket
import struct
from dataclasses import dataclass
from typing import Final

GROUP: Final = "pulse"

_SO_PEERGROUPS: Final = 59
"""Linux 4.13; the socket module has no name for it."""

_GROUPS_BYTES: Final = 1024
"""The most Python's getsockopt takes: 256 groups. Who is in more and needs `pulse` makes it the primary one."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The process at the other end, as it was when it connected."""

    uid: int
    groups: frozenset[int]
    pid: int = 0
    """0 for one of another PID namespace, too."""

    def may_command(self, owner: int, group: int | None) -> bool:
        """True for root, for the user `owner` and for members of `group`."""
        return self.uid in (0, owner) or (group is not None and group in self.groups)


def caller(connection: socket.socket) -> Caller:
    """Who connected; reads SO_PEERCRED and SO_PEERGROUPS."""
    size = struct.calcsize("3i")
    pid, uid, gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return Caller(uid, frozenset({gid, *_further_groups(connection)}), pid)


def group_id() -> int | None:
    """The id of group `pulse`, or None if this machine has none."""
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


def refusal(who: Caller) -> str:
    """What a caller who may not command is told."""
    return (
        f"this node belongs to uid {os.geteuid()}, and uid {who.uid} may not control it.\n"
        f"Use sudo, or become a member of group {GROUP} on this machine."
    )


def _further_groups(connection: socket.socket) -> list[int]:
    groups = array.array("I")
    try:
        groups.frombytes(connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES))
    except OSError:
        return []
    return groups.tolist()
