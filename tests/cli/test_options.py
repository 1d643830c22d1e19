"""The flags of a node are its settings."""

from pulse.cli.options import NodeFlags
from pulse.settings import SETTINGS


def test_what_was_not_typed_decides_nothing() -> None:
    assert NodeFlags().given() == {}


def test_false_and_empty_were_typed() -> None:
    assert NodeFlags(ca=False, token="").given() == {"ca": False, "token": ""}


def test_every_flag_is_a_setting() -> None:
    flags = {name.replace("_", "-") for name in NodeFlags.__dataclass_fields__} - {"config"}

    assert flags <= set(SETTINGS)
    assert set(SETTINGS) - flags == {"name"}
