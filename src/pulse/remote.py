"""Settings that operators changed from afar: a file of their own in the data directory, under environment and flags.

Invariant: only what `[remote] config` names counts, so taking a key out of that list undoes what was said of it.
"""

import tomllib
from pathlib import Path
from typing import Any, Final

from pulse.config import NodeConfig
from pulse.errors import ConfigError

NAME: Final = "remote.toml"


def place(data_dir: Path) -> Path:
    """Where they are kept."""
    return data_dir / NAME


def read(config: NodeConfig) -> dict[str, Any]:
    """What counts of them, by section and key. Raises ConfigError for a file that is none of ours."""
    path = place(config.data_dir)
    if not config.remote.config or not path.exists():
        return {}
    try:
        kept = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}.\nRemove it, or have an operator set it anew: pulse remote-config"
        ) from error
    found: dict[str, Any] = {}
    for allowed in config.remote.config:
        section, _, key = allowed.partition(".")
        if isinstance(kept.get(section), dict) and key in kept[section]:
            found.setdefault(section, {})[key] = kept[section][key]
    return found


def laid(kept: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """What is kept, with one setting more, or another value of it."""
    section, _, key = path.partition(".")
    return {**kept, section: {**kept.get(section, {}), key: value}}


def written(kept: dict[str, Any]) -> bytes:
    """The file."""
    import tomli_w

    return tomli_w.dumps(kept).encode()
