"""Run as a process of its own: one join on the ledger in argv, so that it can be killed at any system call."""

import sys
from pathlib import Path

from tests.authority import token
from tests.store.ledgers import join, reopen

TOKEN = token("t", max_uses=1)


def main(directory: Path, machine: str) -> None:
    """Join; "answered" on standard output stands for the answer that leaves the CA."""
    with reopen(directory) as ledger:
        admission = join(ledger, machine, TOKEN)
        sys.stdout.write("answered" if admission.certificate else "refused")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
