"""The whole network config as a file, and templates, answered from memory."""

from msgspec import structs

from pulse.errors import Conflict, NotFound, Refused
from pulse.schemas.config import (
    ConfigChange,
    ConfigFile,
    ConfigPlan,
    ConfigWanted,
    FileAssertion,
    FileRecord,
    FileRoute,
    FileRule,
    FileSettings,
    FileTemplate,
    TemplateRef,
    TemplateRequest,
    TemplateView,
)
from pulse.schemas.policy import PairChange

FILE = ConfigFile(
    settings=FileSettings("10.100.0.0/16"),
    names={"9" * 64: "db-server"},
    tags={"db-server": ["db", "prod"]},
    groups={"ops": ["laptop", "tag:admin"]},
    acl=[
        FileRule(
            id="r1", source=["tag:backend"], destination=["tag:db"], proto=["tcp"], ports=["5432"],
            expires=1_790_000_000.0, note="for reports",
        ),
    ],
    tests=[FileAssertion(id="t1", source="tag:dev", destination="tag:prod", expect="deny", proto="tcp", port=22)],
    templates={"web": FileTemplate(["web"], "web-*", "1h", 1)},
    zones=[FileRecord("db.pulse", "CNAME", "db-server.pulse", 60)],
    routes=[FileRoute("db-server", "192.168.7.0/24", "", approved=True)],
    auto_approve={"10.20.0.0/16": "site"},
)  # fmt: skip

PLAN = ConfigPlan(
    version="1.7",
    applied=False,
    changes=[
        ConfigChange("acl", "removed", "r1: allow tag:backend → tag:db tcp 5432", ""),
        ConfigChange("acl", "changed", "r2: allow * → db tcp 22", "r2: allow * → db"),
        ConfigChange("zones", "added", "db.pulse A 10.100.87.53, ttl 60 s", ""),
    ],
    opens=False,
    gained=[],
    lost=[PairChange("laptop", "db-server", "tcp 5432")],
    gained_pairs=0,
    lost_pairs=1,
    whole=True,
)

TEMPLATE = TemplateView(name="web", tags=["web"], node_name="web-*", ttl=3600.0, max_uses=1)


class FakeFile:
    """Implements `pulse.schemas.config.WholeFile`; nothing is to do for its own file."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked

    async def export(self) -> tuple[tuple[int, int], ConfigFile]:
        return (1, 7), FILE

    async def plan(self, wanted: ConfigWanted) -> ConfigPlan:
        self.asked.append(wanted)
        if any(each.source == "backendx" for each in wanted.file.acl):
            raise NotFound('rule 1: no node is called "backendx". Did you mean tag:backend?')
        if wanted.file == FILE:
            return structs.replace(PLAN, changes=[], lost=[], lost_pairs=0)
        return PLAN

    async def apply(self, wanted: ConfigWanted, base: tuple[int, int] | None) -> ConfigPlan:
        self.asked.append((wanted, base))
        if wanted.file.groups:
            raise Refused("test t1 would fail: tag:dev → tag:prod tcp 22 must be denied")
        if wanted.file.names:
            raise Conflict("the network config is 1.8 by now")
        return structs.replace(PLAN, version="1.8", applied=True)


class FakeTemplates:
    """Implements `pulse.schemas.config.TemplateStore`."""

    def __init__(self, asked: list[object]) -> None:
        self.asked = asked
        self.there = [TEMPLATE]

    async def all(self) -> list[TemplateView]:
        return self.there

    async def set(self, wanted: TemplateRequest) -> TemplateView:
        self.asked.append(wanted)
        return structs.replace(TEMPLATE, name=wanted.name)

    async def remove(self, wanted: TemplateRef) -> TemplateView:
        self.asked.append(wanted)
        if wanted.name != TEMPLATE.name:
            raise NotFound(f'there is no template "{wanted.name}". See them: pulse template list')
        return TEMPLATE
