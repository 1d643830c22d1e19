"""What the control API says and hears where a node is run as a service: check-ups, reloads, restarts.

Fields are append-only; times are seconds since 1970, durations seconds.
"""

from typing import Annotated

import msgspec

from pulse.core.symptoms import Running
from pulse.schemas.structs import Body, NodeText, View


class Checkup(View, frozen=True):
    """What `pulse doctor` asks a node that runs."""

    pid: int
    data_dir: str
    port: int
    tun: bool
    """It was started with `--tun`."""
    device: str
    """Name of its TUN device, or empty."""
    mesh_cidr: str
    """The mesh's range; empty before the network config came."""
    hosts: list[str]
    """Whom its settings name, by name or address."""
    running: Running


class Reloaded(View, frozen=True):
    """What came of reading the settings again, by TOML path."""

    changed: list[str]
    """In force now."""
    later: list[str]
    """Others than those in force; they wait for a restart."""


class RestartRequest(Body, frozen=True):
    """Which node to restart; this one if left out."""

    node: NodeText = ""


class Restarting(View, frozen=True):
    """The node that starts anew."""

    id: str
    name: str


Value = Annotated[str, msgspec.Meta(max_length=4096)]
Values = Annotated[dict[NodeText, Value], msgspec.Meta(min_length=1, max_length=32)]


class RemoteSettings(Body, frozen=True):
    """Settings of another node, by TOML path, with values as people type them."""

    node: NodeText
    settings: Values
