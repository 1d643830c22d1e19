"""The peers last known, for a quick restart: derived from what neighbours tell, so never worth a refusal.

Invariant: a bad file costs its contents and one warning, not the start.
"""

from pathlib import Path
from typing import Annotated, Final

import msgspec

from pulse.core.messages import Wire, pack
from pulse.core.types import Der, NodeId, ShortText, Text
from pulse.errors import Damaged, NotFound
from pulse.store.files import read_checked, write_checked

PEERS_LIMIT: Final = 4096
ADDRESSES_LIMIT: Final = 16
FILE: Final = "peers"
"""In the data directory."""

_NEXT_STEP: Final = "It starts empty and fills again from neighbours; nothing needs to be done."


class KnownPeer(Wire, frozen=True):
    """A peer as it was last seen; `addresses` are where it could be reached, best first."""

    node: ShortText
    name: ShortText
    addresses: Annotated[list[Text], msgspec.Meta(max_length=ADDRESSES_LIMIT)]
    certificate: Der

    @property
    def node_id(self) -> NodeId:
        """Its id."""
        return NodeId(self.node)


class _Peers(Wire, frozen=True):
    peers: Annotated[list[KnownPeer], msgspec.Meta(max_length=PEERS_LIMIT)]


_decoder = msgspec.msgpack.Decoder(_Peers)


def save(data_dir: Path, peers: list[KnownPeer]) -> None:
    """Keep the first 4096 of `peers`, most useful first."""
    write_checked(data_dir / FILE, FILE, pack(_Peers(peers[:PEERS_LIMIT])))


def load(data_dir: Path) -> tuple[list[KnownPeer], str | None]:
    """The peers kept, and a warning to log if there were some that could not be read."""
    path = data_dir / FILE
    try:
        return _decoder.decode(read_checked(path, FILE, _NEXT_STEP)).peers, None
    except NotFound:
        return [], None
    except Damaged as error:
        return [], str(error)
    except msgspec.DecodeError as error:
        return [], f"{path} cannot be read: {error}.\n{_NEXT_STEP}"
