"""A node as a place to work on the whole config from; for tests."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from pulse import clock
from pulse.core.network.edits import Edit, Edits
from pulse.core.network.hours import Window
from pulse.core.network.naming import NodeNamed, NodeTagged
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.routes import Route
from pulse.core.network.ruling import AssertionAdded, GroupSet, RuleAdded
from pulse.core.network.scribe import Scribe
from pulse.core.network.sections import RoutesReplaced, TemplateSet, ZonesReplaced
from pulse.core.network.templates import Template
from pulse.core.network.zones import ZoneRecord
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.identity import node_bytes
from pulse.schemas.config import (
    ConfigFile,
    ConfigWanted,
    FileSettings,
)
from pulse.services.configfile.applying import ConfigFileService
from tests.authority import MESH, NOW, key
from tests.services.office import CA, CAM, HOME, RELAY, Office

OTHER = f"mynet.{'f' * 64}"
HOURS = Window(31, 540, 1080)


def tagged(node: Certificate, tag: str) -> NodeTagged:
    return NodeTagged(node_bytes(node.node_id), tag)


FULL: list[Edit] = [
    NodeNamed(node_bytes(HOME.node_id), "desk"),
    NodeNamed(node_bytes(RELAY.node_id), "relay"),
    tagged(RELAY, "edge"),
    tagged(CAM, "eye"),
    GroupSet("ops", ["desk", "tag:edge"]),
    RuleAdded(["group:ops"], ["*"], True, [6, 1, 58, 17], [], note="all of it"),
    RuleAdded(["tag:eye"], ["desk", CAM.node_id], True, [6], [(22, 22), (8000, 8100)], True, NOW + 60.25, HOURS),
    RuleAdded(["tag:contractor"], ["cidr:192.168.7.0/24"], False, ahead=True),
    AssertionAdded("tag:edge", "desk", True, 6, 22),
    AssertionAdded("group:ops", "tag:eye", True, 1),
    TemplateSet("web", Template(["web"], "web-*", 5400, 1)),
    ZonesReplaced([ZoneRecord("db", "A", "10.9.0.1"), ZoneRecord("_pg._tcp.db.pulse", "SRV", "0 0 5432 desk")]),
    RoutesReplaced(
        [
            Route(node_bytes(RELAY.node_id), "0.0.0.0/0", approved=True),
            Route(node_bytes(CAM.node_id), "10.7.7.0/24", "10.8.8.0/24"),
        ],
        {"10.20.0.0/16": "site"},
    ),
]  # fmt: skip
"""Edits that leave nothing out."""


@dataclass
class Desk:
    """The scribe `home`, which writes its configs to disk."""

    office: Office
    pen: Scribe = field(init=False)
    made: int = 0

    def __post_init__(self) -> None:
        self.office.appoint(HOME)
        self.pen = Scribe(HOME.node_id, key("home"), self.office.statements, self.office.members, lambda: 0)

    @property
    def service(self) -> ConfigFileService:
        return ConfigFileService(self.office.statements, self.office.members, self.edit)

    def config(self) -> SignedConfig:
        return self.office.statements.config_in_force()

    async def edit(self, edits: Edits) -> SignedConfig:
        self.made += 1
        signed = self.pen.edited(edits, NOW)
        self.office.publish.config(signed)
        return signed

    async def file(self, **changes: Any) -> ConfigWanted:
        """The config in force, with other sections."""
        return ConfigWanted(structs.replace((await self.service.export())[1], **changes))


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(clock, "wall", lambda: NOW)
    found = Desk(Office(tmp_path / "data"))
    await found.edit(Edits(FULL))
    return found


def empty() -> ConfigFile:
    return ConfigFile(settings=FileSettings(str(MESH), CA.network.label))
