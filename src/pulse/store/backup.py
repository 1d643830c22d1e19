"""The CA in one file: key, certificate, range, ledger and journal; identity and peers of its node, and what it signed.

    pulse ca-backup 1 <SHA-256 of the rest>
    msgpack of the network's label, the time, and files by their path in the data directory

A backup is taken beside a running daemon, and all in it is of one moment: it is read again until nothing changed
meanwhile. What is put back is whole and was read and checked before it takes the place of anything.
Invariant: the file is as secret as the CA's key, and no other copy of it is left.
"""

import re
import shutil
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from pulse.core.messages import Time, Wire, pack
from pulse.core.trust.tokens import TokenRecord
from pulse.core.types import Text
from pulse.errors import Conflict, Damaged, NotFound, Refused
from pulse.store import authority, identity, journal, netconfig, peers, succession
from pulse.store.database import snapshot, write_ahead
from pulse.store.files import (
    PRIVATE_DIRECTORY,
    check_directory,
    checked,
    finish_replacing,
    lock,
    open_data_dir,
    read_file,
    sweep_beside,
    sync_directory,
    translated,
    write_file,
)

LIMIT: Final = 2**30
_KIND: Final = "ca-backup"
_DIRECTORIES: Final = (netconfig.DIRECTORY, identity.DIRECTORY, authority.DIRECTORY)
"""In the order in which they are put back: once the CA is there, all is."""

_PLACE = re.compile(
    r"ca/(key|certificate|range|succession|ledger\.sqlite|journal\.head)|identity/[a-z]+(\.pem)?|"
    r"network/[a-z]+(\.[0-9a-f]+)*|peers"
)
_STAGE: Final = "putting-back"
_ASIDE: Final = ".replaced-"
"""In the name of what was there before."""

_TRIES: Final = 50
"""How often files are read anew because the daemon wrote some of them meanwhile."""

_Sight = tuple[tuple[str, int, int, int], ...]
"""What tells that a file is another than before: of each its path, inode, size and time."""


class _File(Wire, frozen=True):
    path: Text
    data: bytes


class _Backup(Wire, frozen=True):
    network: Text
    made: Time
    files: Annotated[list[_File], msgspec.Meta(max_length=8192)]


_decoder = msgspec.msgpack.Decoder(_Backup)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a backup holds; `made` is when it was taken."""

    network: str
    made: float
    entries: int
    """Of the journal."""
    tokens_revoked: int = 0
    """Tokens that do not count any more because nobody knows how often they were used since."""
    master_revoked: bool = False
    """True if the master token is one of them: it may have been replaced since."""
    peers: int = 0
    """Nodes that it knows how to reach."""
    kept: tuple[Path, ...] = ()
    """Directories in which all is that was moved aside, by this restore and those before; secret as the CA's key."""


def save(data_dir: Path, target: Path, now: float) -> Summary:
    """Write the CA of `data_dir` to the new file `target`; raises NotFound, Conflict, Refused or Damaged."""
    if not authority.exists(data_dir):
        raise NotFound(f"there is no CA in {data_dir}.\nRun it on the CA's machine, or name its --data-dir.")
    if target.exists():
        raise Conflict(f"{target} is there already.\nName another file.")
    check_directory(data_dir / authority.DIRECTORY)
    check_whole(data_dir)
    label = authority.open_issuer(data_dir).network.label
    _finish_renewal(data_dir)
    files, head = _of_one_moment(data_dir)
    sweep_beside(target)
    write_file(target, checked(_KIND, pack(_Backup(label, now, files))))
    return Summary(label, now, head.seq)


def put_back(data_dir: Path, source: Path, now: float, *, force: bool = False, alone: bool = False) -> Summary:
    """Bring back a CA from the file `source`; with `force` in the place of what is there, which is kept beside it.

    Until it heard from the mesh it signs nothing, unless it is `alone`. Raises Conflict, Refused or Damaged.
    """
    backup = _read(source)
    with lock(open_data_dir(data_dir)), translated(f"cannot put the CA back into {data_dir}"):
        there = [name for name in _DIRECTORIES if (data_dir / name).exists()]
        if there and not force:
            raise Conflict(
                f"{data_dir} holds {', '.join(f'{name}/' for name in there)} already.\n"
                "Name an empty --data-dir; or with --force what is there is moved aside."
            )
        stage = data_dir / _STAGE
        shutil.rmtree(stage, ignore_errors=True)
        try:
            entries, revoked = _staged(stage, backup, now, alone=alone)
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            raise
        sync_directory(data_dir)
        # From here to the end the stage says that what is there is not of one moment: see `check_whole`.
        for name in _DIRECTORIES:
            _replace(data_dir / name, stage / name, now)
        _keep_peers(data_dir, stage)
        shutil.rmtree(stage, ignore_errors=True)
    masters, known = any(each.is_master for each in revoked), len(peers.load(data_dir)[0])
    kept = tuple(sorted(data_dir.glob(f"*{_ASIDE}*")))
    return Summary(backup.network, backup.made, entries, len(revoked), masters, known, kept)


def check_whole(data_dir: Path) -> None:
    """Raise Refused if a restore was cut short: what is there may be half of the backup, half of what was before."""
    if (data_dir / _STAGE).exists():
        raise Refused(
            f"a restore into {data_dir} was cut short, so it may hold half of it.\n"
            "Run it again: pulse ca restore <file> --force"
        )


def _finish_renewal(data_dir: Path) -> None:
    """An identity that a crash left between two names gets its own; a daemon that runs is about to see to that."""
    if not (data_dir / identity.DIRECTORY).exists():
        with suppress(Conflict), lock(data_dir):
            finish_replacing(data_dir / identity.DIRECTORY)


def _of_one_moment(data_dir: Path) -> tuple[list[_File], journal.Head]:
    """All files, with none written between the first and the last, and the head of the journal then."""
    for _ in range(_TRIES):
        before = _sight(data_dir)
        try:
            identity.read(data_dir)
            ledger, head = _ledger(data_dir)
            files = [_File(place, read_file(data_dir / place)) for place in _places(data_dir)]
        except (NotFound, Damaged):
            if before == _sight(data_dir):
                raise
            continue
        if before == _sight(data_dir):
            copies = [_File(f"ca/{authority.LEDGER}", ledger), _File(f"ca/{authority.HEAD}", journal.head_file(head))]
            return [*files, *copies], head
    raise Conflict("the CA writes so much just now that no moment of it can be copied.\nTry again a little later.")


def _sight(data_dir: Path) -> _Sight:
    """Of all files that a backup is made of; a renewed identity is another directory, and each commit another head."""
    found = []
    for place in ("ca", identity.DIRECTORY, netconfig.DIRECTORY, peers.FILE):
        for path in (data_dir / place, *sorted((data_dir / place).glob("*"))):
            # sqlite's own index of the log is written by readers too.
            with suppress(FileNotFoundError):
                seen = path.lstat()
                if not path.name.endswith("-shm") and path != data_dir / "ca":
                    found.append((str(path), seen.st_ino, seen.st_size, seen.st_mtime_ns))
    return tuple(found)


def _ledger(data_dir: Path) -> tuple[bytes, journal.Head]:
    """The ledger as it was at one moment, and the head of its journal then; no other file is made for that."""
    directory = data_dir / authority.DIRECTORY
    # First the head, then the copy: the copy is the newer of the two, whatever a daemon does meanwhile.
    kept = journal.read_head(directory / authority.HEAD)
    with closing(snapshot(directory / authority.LEDGER)) as ledger:
        found = journal.verify(ledger, kept)
        head, data = journal.head(ledger), ledger.serialize()
    if found.broken is not None:
        raise Damaged(
            f"the CA's journal is broken: {found.reason}.\nPut back an older backup; see: pulse ca log --verify"
        )
    return data, head


def _places(data_dir: Path) -> list[str]:
    """Their paths in the data directory."""
    found = [path for name in (identity.DIRECTORY, netconfig.DIRECTORY) for path in (data_dir / name).glob("*")]
    places = [str(path.relative_to(data_dir)) for path in sorted(found)]
    kept = [peers.FILE] if (data_dir / peers.FILE).exists() else []
    ca = [f"{authority.DIRECTORY}/{name}" for name in ("key", "certificate", "range", succession.FILE)]
    return [*(each for each in ca if (data_dir / each).exists()), *filter(_PLACE.fullmatch, places), *kept]


def _read(source: Path) -> _Backup:
    data = read_file(source, LIMIT)
    body = data[data.find(b"\n") + 1 :]
    if data != checked(_KIND, body):
        raise Damaged(f"{source} is no backup of a CA, or not whole.\nTake another copy of it.")
    try:
        backup = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise Damaged(
            f"{source} cannot be read: {error}.\nWas it written by a later pulse? Upgrade this one."
        ) from error
    if strange := [each.path for each in backup.files if not _PLACE.fullmatch(each.path)]:
        raise Damaged(f"{source} holds what no backup does: {strange[0]}.\nDo not use it.")
    return backup


def _staged(stage: Path, backup: _Backup, now: float, *, alone: bool) -> tuple[int, list[TokenRecord]]:
    """Lay everything out beside its place, and see that it is whole; entries of the journal, and tokens revoked."""
    for name in ("", *_DIRECTORIES):
        (stage / name).mkdir(mode=PRIVATE_DIRECTORY)
        (stage / name).chmod(PRIVATE_DIRECTORY)
    if not alone:
        # Before the key is there: no moment is in which it could sign.
        authority.mark_put_back(stage)
    for each in backup.files:
        write_file(stage / each.path, each.data)
    write_ahead(stage / authority.DIRECTORY / authority.LEDGER)
    issuer = authority.open_issuer(stage)
    held = identity.load(stage).certificate
    if issuer.network.label != backup.network or held.network != issuer.network or not held.is_ca:
        raise Damaged("the backup's key, identity and label are not of one network.\nDo not use it.")
    with authority.open_ledger(stage, issuer) as ledger:
        found = ledger.verify()
        if found.broken is not None:
            raise Damaged(f"the backup's journal is broken: {found.reason}.\nTake an older one.")
        revoked = ledger.put_back(now)
    return found.entries, revoked


def _keep_peers(data_dir: Path, stage: Path) -> None:
    """Whom the CA knew, or it would find nobody from a machine where nobody looks for it; newer ones stay."""
    if (stage / peers.FILE).exists() and not (data_dir / peers.FILE).exists():
        (stage / peers.FILE).rename(data_dir / peers.FILE)
        sync_directory(data_dir)


def _replace(place: Path, fresh: Path, now: float) -> None:
    if place.exists():
        aside = place.with_name(f"{place.name}{_ASIDE}{now:.0f}")
        while aside.exists():
            aside = aside.with_name(f"{aside.name}+")
        place.rename(aside)
    fresh.rename(place)
    sync_directory(place.parent)
