"""`pulse reload`, `pulse restart`, `pulse remote-config`: settings and runs of this node, and of others for operators.

Invariant: parse, one call, print.
"""

import time
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from pulse.checks import near
from pulse.cli.output import print_json
from pulse.cli.values import DataDir, Json
from pulse.client import SCRIBE_PATIENCE, connect
from pulse.errors import ConfigError, LinkError, PulseError
from pulse.flags import SETTINGS, VARIABLES
from pulse.schemas.operating import Reloaded, RemoteSettings, Restarting, RestartRequest

PATIENCE: Final = 20.0
"""Seconds for this node to come back."""

EVERY: Final = 0.1


def reload(*, json: Json = False, data_dir: DataDir = None) -> None:
    """Read the settings again, without a restart as far as that goes.

    What can change while the node runs is changed, the rest is named. The same as SIGHUP. A file with a mistake
    changes nothing.

    More: pulse help settings
    """
    with connect(data_dir) as client:
        came = client.call("POST", "/api/reload", Reloaded, patience=SCRIBE_PATIENCE)
    _show(came, "pulse restart", json=json)


def restart(node: str = "", /, *, json: Json = False, data_dir: DataDir = None) -> None:
    """Restart this node, or another one as its operator.

    Another one has to allow it: [remote] restart in its settings.

    More: pulse help roles

    Parameters
    ----------
    node
        Its name, its mesh address, or the first digits of its id; this node if left out.
    """
    with connect(data_dir) as client:
        before = client.status().uptime
        came = client.call("POST", "/api/restart", Restarting, RestartRequest(node), patience=SCRIBE_PATIENCE)
        ours = client.identity().id == came.id
    if ours:
        _wait_back(data_dir, before)
    if json:
        print_json(came)
    else:
        print(f"{came.name} {'is back' if ours else 'restarts: pulse ping ' + came.name}")


def remote_config(
    *pairs: Annotated[str, Parameter(name="settings", help="key=value, such as node.log_level=debug.")],
    node: str,
    json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Change settings of another node, as its operator.

    It has to allow that: [remote] config in its settings.

    More: pulse help roles

    Parameters
    ----------
    node
        Its name, its mesh address, or the first digits of its id.
    """
    wanted = RemoteSettings(node, _parsed(pairs))
    with connect(data_dir) as client:
        came = client.call("POST", "/api/settings", Reloaded, wanted, patience=SCRIBE_PATIENCE)
    _show(came, f"pulse restart {node}", json=json)


def _parsed(pairs: tuple[str, ...]) -> dict[str, str]:
    known = {*SETTINGS.values(), *VARIABLES.values()}
    parsed: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f'"{pair}" is no setting. Write key=value, such as node.log_level=debug')
        if key not in known:
            raise ConfigError(f"unknown key {key}{near(key, sorted(known))}")
        parsed[key] = value
    if not parsed:
        raise ConfigError("there is nothing to change. Write key=value, such as node.log_level=debug")
    return parsed


def _show(came: Reloaded, how: str, *, json: bool) -> None:
    if json:
        print_json(came)
        return
    if not (came.changed or came.later):
        print("nothing to do: the settings are those in force")
    if came.changed:
        print(f"in force now: {', '.join(came.changed)}")
    if came.later:
        print(f"after a restart ({how}): {', '.join(came.later)}")


def _wait_back(data_dir: Path | None, before: float) -> None:
    """Return once the node that answers has run for less time than the one before had."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        time.sleep(EVERY)
        try:
            with connect(data_dir) as client:
                if client.status().uptime < before:
                    return
        except LinkError:
            continue
    raise PulseError(
        f"the node has not come back within {PATIENCE:.0f} s.\nSee why: pulse logs, or journalctl -u pulse"
    )
