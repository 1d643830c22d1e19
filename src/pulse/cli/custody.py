"""`pulse ca backup|restore|sign`: the CA's files by hand, on its own machine.

Invariant: what is printed holds no secret; the files that do are closed to others.
"""

import os
import shlex
from pathlib import Path
from types import ModuleType
from typing import Annotated, Final

from cyclopts import Parameter

from pulse.cli.output import print_json, tick
from pulse.cli.values import DataDir, Json, place_of
from pulse.core.types import SHORT_ID
from pulse.errors import SystemRefused
from pulse.schemas.cert import CaBackup
from pulse.wording import day, moment

PRIVATE: Final = 0o077


def backup(file: Path, /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Write the CA, its ledger and its node's identity into one new file; the node may go on running.

    The file is as secret as the CA's key: who has it can make members of the network.

    Parameters
    ----------
    file
        The file to write; one that is there is never written over.
    """
    made = written(place_of(data_dir), file)
    if json:
        print_json(made)
        return
    tick(f"CA of {made.network} with {made.entries} journal entries in {made.file}")
    print("Keep it where only you can read it, and take another after machines have joined.")


def written(data_dir: Path, file: Path) -> CaBackup:
    """A backup in the new file, closed to others. Raises PulseError."""
    os.umask(PRIVATE)
    made: CaBackup = _custody().save(data_dir, file)
    return made


def restore(
    file: Path,
    /,
    *,
    force: Annotated[bool, Parameter(help="Move aside what the data directory holds.")] = False,
    alone: Annotated[bool, Parameter(help="Sign at once: no other node of the network is left.")] = False,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Put a CA back from a backup; started, it hears from the mesh whom it let in since, and signs from then on.

    Parameters
    ----------
    file
        A backup that `pulse ca backup` wrote.
    """
    os.umask(PRIVATE)
    made = _custody().put_back(place_of(data_dir), file, force=force, alone=alone)
    if json:
        print_json(made)
        return
    tick(f"CA of {made.network} as it was at {moment(made.made)}, {made.entries} journal entries")
    if made.tokens_revoked:
        print(f"{made.tokens_revoked} tokens are revoked: how often they were used since, nobody knows.")
    if made.master_revoked:
        print("The master token is one of them. Give the CA another: pulse start --ca --ca-token …")
    start = "pulse start --ca" if made.peers or alone else "pulse start --ca <host:port of any node>"
    if not (made.peers or alone):
        print("The backup is of a time when it knew no other node, so it has to be told where one is.")
    print(f"Start it: {start}          The machine it was on must not run it any more.")
    if made.kept:
        print("What was there before is moved aside, with the CA's private key of then. Once the CA runs well:")
        print(f"  rm -r {shlex.join(made.kept)}")


def sign(
    *,
    ca_dir: Annotated[Path, Parameter(help="Data directory of the CA, or the ca/ in it; no node may run there.")],
    csr: Annotated[Path, Parameter(help="Certificate request for an Ed25519 key, PEM or DER.")],
    out: Annotated[Path | None, Parameter(help="File for the certificate and the CA's; else they are printed.")] = None,
    name: Annotated[str | None, Parameter(help="Name that rules may use.")] = None,
    tag: Annotated[tuple[str, ...], Parameter(help="Tag that rules may use; may be repeated.")] = (),
    force_time: Annotated[bool, Parameter(help="Sign although the clock leapt.")] = False,
    json: Json = False,
) -> None:
    """Sign a certificate without a network, in the same ledger and journal as those that are joined for."""
    os.umask(PRIVATE)
    signed = _custody().sign(ca_dir, csr, name=name, tags=tag, force_time=force_time)
    if json:
        print_json(signed)
        return
    if out is None:
        print(signed.pem, end="")
        return
    try:
        out.write_text(signed.pem, encoding="ascii")
    except OSError as error:
        raise SystemRefused(f"the certificate is signed, but cannot be written to {out}: {error.strerror}.") from error
    tick(f"certificate for {signed.name or signed.id[:SHORT_ID]}, {signed.v4}, until {day(signed.not_after)}")


def _custody() -> ModuleType:
    from pulse import custody

    return custody
