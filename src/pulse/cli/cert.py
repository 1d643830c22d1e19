"""`pulse cert`: this node's certificate, those of all; and one that was signed without a network, brought by hand.

Invariant: parse, one call, print.
"""

import os
from pathlib import Path
from types import ModuleType
from typing import Annotated, Final

from cyclopts import App, Parameter

from pulse.cli.node import certificate
from pulse.cli.output import print_json, tick
from pulse.cli.values import DataDir, Json, place_of
from pulse.core.types import SHORT_ID, spaced
from pulse.errors import SystemRefused
from pulse.wording import day

PRIVATE: Final = 0o077

app = App(
    name="cert",
    help=(
        "Show this node's certificate and when it ends.\n\n"
        "Or ask for one, and install it, by hand.\n\nMore: pulse help trust"
    ),
)
app.default(certificate)


@app.command
def request(
    *,
    out: Annotated[Path | None, Parameter(help="File for the request; else it is printed.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Make the request that `pulse ca sign --csr` takes, for the key of this machine; no node may run here."""
    os.umask(PRIVATE)
    pem = _certfile().request(place_of(data_dir))
    if out is None:
        print(pem.decode(), end="")
        return
    try:
        out.write_bytes(pem)
    except OSError as error:
        raise SystemRefused(f"cannot write {out}: {error.strerror}.") from error
    tick(f"request in {out}. On the CA's machine: pulse ca sign --ca-dir <data dir> --csr {out.name} --out cert.pem")


@app.command
def install(file: Path, /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Install the certificate that `pulse ca sign` wrote for the key of this machine; no node may run here.

    Parameters
    ----------
    file
        The certificate, with the CA's below it.
    """
    os.umask(PRIVATE)
    made = _certfile().install(place_of(data_dir), file)
    if json:
        print_json(made)
        return
    tick(f"certificate for {made.name or made.id[:SHORT_ID]}, {made.v4}, until {day(made.not_after)}")
    if made.is_new:
        print(f"It is in network {made.network} now. Compare with `pulse id` on the CA: {spaced(made.ca_hash)}")
        print("Start it: pulse start --join <host:port of any node>")


def _certfile() -> ModuleType:
    from pulse import certfile

    return certfile
