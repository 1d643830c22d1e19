"""Signed objects on disk, in their exact bytes: config and roles by number, revocations by node.

    network/config.<scribe epoch>.<generation>   the newest and 5 before it
    network/roles.<epoch>                        likewise
    network/revoked.<node id>                    one each
    network/chain                                the statements that say which CA keys count

The numbers are in the file names, so a damaged file still tells what was lost: a damaged config or roles
object falls back to the one before it, aloud; a damaged revocation keeps its node out.
Invariant: "none" is said only where there never was one.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import Damaged, NotFound
from pulse.store.files import open_data_dir, read_checked, write_checked

DIRECTORY: Final = "network"
CHAIN: Final = "chain"
PREVIOUS: Final = 5
_NEXT_STEP: Final = "Put back a backup of network/, or remove the file: neighbours send it again."
_REVOKED: Final = "revoked"
_ID_DIGITS: Final = 64
_statements = msgspec.msgpack.Decoder(list[bytes])


@dataclass(frozen=True, slots=True)
class Loaded:
    """The newest object that can be read; `warning` names those newer ones that cannot."""

    data: bytes | None
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class LoadedRevocations:
    """All revocations; nodes in `damaged` are out too, though their object must be fetched again."""

    objects: tuple[bytes, ...]
    damaged: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class LoadedChain:
    """The statements about CA keys; `warning` says why there are none though there were."""

    statements: tuple[bytes, ...]
    warning: str | None = None


class NetworkStore:
    """The `network/` directory of a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._directory = open_data_dir(data_dir / DIRECTORY)

    def save_chain(self, statements: Sequence[bytes]) -> None:
        """Keep the statements that say which CA keys count, durably and all at once."""
        _write(self._directory / CHAIN, CHAIN, msgspec.msgpack.encode(list(statements)))

    def load_chain(self) -> LoadedChain:
        """The same; of a damaged file none, for the identity holds those of the last renewal, and neighbours all."""
        try:
            data = read_checked(self._directory / CHAIN, CHAIN, _NEXT_STEP)
            return LoadedChain(tuple(_statements.decode(data)))
        except NotFound:
            return LoadedChain(())
        except (Damaged, msgspec.DecodeError) as error:
            return LoadedChain((), str(error))

    def save_config(self, scribe_epoch: int, generation: int, data: bytes) -> None:
        """Keep a config that counts, durably; of the same number the later call's bytes stay."""
        self._save("config", (scribe_epoch, generation), data)

    def load_config(self) -> Loaded:
        """The newest readable config; raises Damaged if there are some and none can be read."""
        return self._load("config")

    def highest_generation(self) -> int:
        """The highest generation of a config ever kept here, though its file may be damaged; 0 if there was none."""
        return max((number[-1] for number in self._numbers("config")), default=0)

    def highest_roles(self) -> int:
        """The highest epoch of a roles object ever kept here, though its file may be damaged; 0 if there was none."""
        return max((number[-1] for number in self._numbers("roles")), default=0)

    def save_roles(self, epoch: int, data: bytes) -> None:
        """Keep a roles object that counts, durably."""
        self._save("roles", (epoch,), data)

    def load_roles(self) -> Loaded:
        """The newest readable roles object; raises Damaged if there are some and none can be read."""
        return self._load("roles")

    def save_revocation(self, node: NodeId, data: bytes) -> None:
        """Keep a revocation, durably; the node's earlier object is replaced."""
        _write(self._directory / f"{_REVOKED}.{node}", _REVOKED, data)

    def drop_revocation(self, node: NodeId) -> None:
        """Forget one that counts no more; should the disk refuse, it is left out when it is read."""
        with suppress(OSError):
            (self._directory / f"{_REVOKED}.{node}").unlink()

    def load_revocations(self) -> LoadedRevocations:
        """All revocations, ordered by node id."""
        objects: list[bytes] = []
        damaged: list[NodeId] = []
        for path in sorted(self._directory.glob(f"{_REVOKED}.*")):
            try:
                objects.append(read_checked(path, _REVOKED, _NEXT_STEP))
            except Damaged:
                damaged.append(_node_of(path))
        return LoadedRevocations(tuple(objects), tuple(damaged))

    def _save(self, kind: str, number: tuple[int, ...], data: bytes) -> None:
        _write(self._path(kind, number), kind, data)
        for old in self._numbers(kind)[PREVIOUS + 1 :]:
            # One too many harms nobody, and the next save tries again: the new one is kept, and that alone counts.
            with suppress(OSError):
                self._path(kind, old).unlink()

    def _load(self, kind: str) -> Loaded:
        complaints: list[str] = []
        for number in self._numbers(kind):
            try:
                data = read_checked(self._path(kind, number), kind, _NEXT_STEP)
            except Damaged as error:
                complaints.append(str(error))
                continue
            return Loaded(data, "\n".join(complaints) or None)
        if complaints:
            raise Damaged("\n".join(complaints))
        return Loaded(None)

    def _path(self, kind: str, number: tuple[int, ...]) -> Path:
        return self._directory / ".".join((kind, *map(str, number)))

    def _numbers(self, kind: str) -> list[tuple[int, ...]]:
        """Numbers of the files of that kind, newest first."""
        found = (path.name.split(".")[1:] for path in self._directory.glob(f"{kind}.*"))
        return sorted((tuple(map(int, parts)) for parts in found if all(map(str.isdigit, parts))), reverse=True)


def _write(path: Path, kind: str, data: bytes) -> None:
    """Write it unless it is there already: what this node signed is kept before it is told to anybody, and again."""
    try:
        if read_checked(path, kind, _NEXT_STEP) == data:
            return
    except (NotFound, Damaged):
        pass
    write_checked(path, kind, data)


def _node_of(path: Path) -> NodeId:
    node = path.name.removeprefix(f"{_REVOKED}.")
    if len(node) != _ID_DIGITS:
        raise Damaged(f"{path} has a name pulse never gives ({node[:SHORT_ID]}).\n{_NEXT_STEP}")
    return NodeId(node)
