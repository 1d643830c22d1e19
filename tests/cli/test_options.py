"""The flags of a node are its settings."""

from pulse.cli.options import LATER, NodeFlags
from pulse.settings import LATER as LATER_SETTINGS
from pulse.settings import SETTINGS


def test_what_was_not_typed_decides_nothing() -> None:
    assert NodeFlags().given() == {}


def test_false_and_empty_were_typed() -> None:
    assert NodeFlags(ca=False, token="").given() == {"ca": False, "token": ""}


def test_every_flag_is_a_setting() -> None:
    flags = {name.replace("_", "-") for name in NodeFlags.__dataclass_fields__} - {"config", *LATER}

    assert flags <= set(SETTINGS)
    assert set(SETTINGS) - flags == {"name"}


def test_flags_of_services_to_come_are_taken_and_decide_nothing() -> None:
    """There are none in this version."""
    flags = NodeFlags(tun=True, socks=True, socks_listen=":53")

    assert flags.given() == {"tun": True, "socks": True, "socks-listen": ":53"}
    assert flags.later() == []


def test_a_flag_of_a_service_to_come_is_no_setting_yet() -> None:
    assert {flag.partition("-")[0] for flag in LATER} <= set(LATER_SETTINGS)
    assert not set(LATER) & set(SETTINGS)
