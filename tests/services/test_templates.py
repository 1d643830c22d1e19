"""Templates service: told, set and taken away through edits, on the scribe or by it."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pulse.core.network.edits import Edits
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.scribe import Scribe
from pulse.errors import ConfigError, NotFound, Refused
from pulse.schemas.config import TemplateRef, TemplateRequest
from pulse.services.templates import TemplatesService
from tests.authority import NOW, key
from tests.services.office import HOME, Office

WEB = TemplateRequest("web", ["web"], "web-*", "1h30m", 1)


@dataclass
class Desk:
    """The scribe `home`."""

    office: Office
    pen: Scribe = field(init=False)

    def __post_init__(self) -> None:
        self.office.appoint(HOME)
        self.pen = Scribe(HOME.node_id, key("home"), self.office.statements, self.office.members, lambda: 0)

    async def edit(self, edits: Edits) -> SignedConfig:
        signed = self.pen.edited(edits, NOW)
        self.office.publish.config(signed)
        return signed


@pytest.fixture
def service(tmp_path: Path) -> TemplatesService:
    desk = Desk(Office(tmp_path / "data"))
    return TemplatesService(desk.office.statements, desk.edit)


async def test_a_template_is_told_as_it_was_set_and_gone_when_it_is_taken_away(service: TemplatesService) -> None:
    made = await service.set(WEB)
    await service.set(TemplateRequest("db"))

    assert (made.node_name, made.ttl, made.max_uses) == ("web-*", 5400.0, 1)
    assert [each.name for each in await service.all()] == ["db", "web"]
    assert await service.remove(TemplateRef("web")) == made
    with pytest.raises(NotFound, match="no template"):
        await service.remove(TemplateRef("web"))


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (TemplateRequest("Web"), Refused),
        (TemplateRequest("web", ["no tag"]), Refused),
        (TemplateRequest("web", ttl="0h"), ConfigError),
        (TemplateRequest("web", ttl=0.5), Refused),
        (TemplateRequest("web", node_name="web-*", max_uses=3), Refused),
    ],
)
async def test_what_is_no_template_changes_nothing(
    service: TemplatesService, wanted: TemplateRequest, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await service.set(wanted)
    assert await service.all() == []
