"""Flags and variables: every setting has a variable, and no two settings share a name."""

import msgspec
import pytest

from pulse.config import NodeConfig, Tun
from pulse.errors import ConfigError
from pulse.flags import LISTS, NUMBERS, SETTINGS, SWITCHES, VARIABLES
from pulse.settings import load

ELSEWHERE = {"dns.service", "join.invite"}
"""What a file alone can say, and what is a word of its own on the command line."""


def test_every_setting_has_a_variable() -> None:
    paths = {
        f"{section.name}.{setting.name}"
        for section in msgspec.structs.fields(NodeConfig)
        for setting in msgspec.structs.fields(section.type)
    }
    assert {*VARIABLES.values()} == paths - ELSEWHERE


def test_no_two_settings_share_a_flag() -> None:
    assert len({*SETTINGS.values()}) == len(SETTINGS)


def test_a_setting_is_of_one_kind() -> None:
    assert len(SWITCHES | NUMBERS | LISTS) == len(SWITCHES) + len(NUMBERS) + len(LISTS)
    assert {*VARIABLES.values()} >= (SWITCHES | NUMBERS | LISTS)


def test_variables_of_others_are_left_alone() -> None:
    others = dict.fromkeys(
        ("PULSE_SINK", "PULSE_SOURCE", "PULSE_SCRIPT", "PULSE_PROP_media.role", "PULSE_API_KEY"), "x"
    )
    config = load({}, environment={"PULSE_SERVER": "unix:/run/user/1000/pulse/native", "PULSE_ADDR": "", **others})

    assert config.node.addr == ":8443"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PULSE_TUNN", "PULSE_TUN"),
        ("PULSE_USE_EXIT", "PULSE_USE_EXITS"),
        ("PULSE_NODE_TCP_TOKN", "PULSE_NODE_TCP_TOKEN"),
    ],
)
def test_a_mistyped_variable_is_told_with_the_one_that_was_meant(name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: .* Did you mean: {meant}"):
        load({}, environment={name: "1"})


def test_variables_are_of_the_kind_of_their_settings() -> None:
    values = {
        "PULSE_ADDR": "a:1", "PULSE_CA": "yes", "PULSE_TUN": "0", "PULSE_TUN_QUEUES": "4",
        "PULSE_BOOTSTRAP_PEERS": "a:1, b:2", "PULSE_TUN_NAME": "p1", "PULSE_LOG_LEVEL": "warn",
    }  # fmt: skip

    config = load({}, environment=values)

    assert (config.node.addr, config.ca.enabled, config.tun) == ("a:1", True, Tun(False, "p1", "", 4))
    assert config.bootstrap.peers == ("a:1", "b:2")
    assert set(SETTINGS.values()) <= set(VARIABLES.values())
