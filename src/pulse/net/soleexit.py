"""One exit in a network namespace: the one that holds a table of nftables there, which says who that is.

The kernel ties the table to the socket of its maker. Invariant: it goes with its process, however that ends, nobody
takes it by another way, and who may not configure the network cannot stand in the way.
"""

from contextlib import closing
from types import TracebackType
from typing import Final, Self

from pulse.errors import Conflict
from pulse.net.nftables import Nftables

TABLE: Final = "pulse-exit"


class SoleExit:
    """That this process is the exit here, until `close`."""

    def __init__(self, who: str) -> None:
        """`who` tells others of us. Raises Conflict, which names the other exit, or SystemRefused."""
        self._table = Nftables(TABLE)
        try:
            self._table.hold(who)
        except Conflict as error:
            self.close()
            raise Conflict(
                f"another exit runs on this machine: {error}; there can be one.\n"
                "Stop that one, or start this one without --exit, or in a network namespace of its own"
            ) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another one be it."""
        self._table.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def holder() -> str | None:
    """Who is the exit here, in its own words; None if nobody is. Raises SystemRefused."""
    with closing(Nftables(TABLE)) as table:
        return table.comment()
