"""The keys to the scribe's HTTP API, as their hashes.

Invariant: `save` returns only when they are durable; a bad file costs all keys and one warning, so it lets nobody in.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec

from pulse.core.messages import Wire, pack
from pulse.core.trust.apikeys import MOST_KEYS, ApiKey, Scope
from pulse.core.types import Digest, ShortText
from pulse.errors import Damaged, NotFound
from pulse.store.files import read_checked, write_checked

_FILE: Final = "api-keys"
_NEXT_STEP: Final = "No key opens the API now. Make new ones: pulse api-key create <name>"


class _Key(Wire, frozen=True):
    sha256: Digest
    name: ShortText
    scope: Scope
    created: float


class _Keys(Wire, frozen=True):
    keys: Annotated[list[_Key], msgspec.Meta(max_length=MOST_KEYS)]


_decoder = msgspec.msgpack.Decoder(_Keys)


def save(data_dir: Path, keys: Sequence[ApiKey]) -> None:
    """Keep these keys and no others."""
    kept = [_Key(key.sha256, key.name, key.scope, key.created) for key in keys]
    write_checked(data_dir / _FILE, _FILE, pack(_Keys(kept)))


def load(data_dir: Path) -> tuple[tuple[ApiKey, ...], str | None]:
    """The keys kept, and a warning to log if there were some that could not be read."""
    path = data_dir / _FILE
    try:
        kept = _decoder.decode(read_checked(path, _FILE, _NEXT_STEP)).keys
    except NotFound:
        return (), None
    except Damaged as error:
        return (), str(error)
    except msgspec.DecodeError as error:
        return (), f"{path} cannot be read: {error}.\n{_NEXT_STEP}"
    return tuple(ApiKey(key.sha256, key.name, key.scope, key.created) for key in kept), None
