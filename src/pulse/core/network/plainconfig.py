"""The network config as people and programs read it: objects with names for fields, bytes in hex.

Whatever later releases add to it is in here by itself. Invariant: it tells all there is in a config.
"""

from typing import Any

from msgspec import structs

from pulse.core.messages import Wire
from pulse.core.network.netconfig import Config


def plain(config: Config) -> dict[str, Any]:
    """The config as JSON has it."""
    told: dict[str, Any] = _plain(config)
    return told


def _plain(value: object) -> Any:
    match value:
        case Wire():
            return {name: _plain(each) for name, each in structs.asdict(value).items()}
        case dict():
            return {_plain(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case bytes():
            return value.hex()
    return value
