"""Templates: had, listed, taken away, and one that is not there."""

from pathlib import Path

import pytest

from pulse.calls.templates import TemplateCalls
from pulse.client import Client
from pulse.errors import NotFound
from pulse.schemas.config import TemplateRef, TemplateRequest
from tests.api.fake_configs import TEMPLATE
from tests.api.fake_control import FakeControl


def test_templates_come_and_go(place: Path, control: FakeControl) -> None:
    wanted = TemplateRequest("db", ["db"], "db-*", "4h")
    with Client(place) as client:
        calls = TemplateCalls(client)
        assert calls.templates() == [TEMPLATE]
        assert calls.set_template(wanted).name == "db"
        assert calls.remove_template("web") == TEMPLATE
        with pytest.raises(NotFound, match='there is no template "db"'):
            calls.remove_template("db")

    assert control.asked[:2] == [wanted, TemplateRef("web")]
