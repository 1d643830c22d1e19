"""Flags and variables: every setting has a variable, and no two settings share a name."""

import msgspec

from pulse.config import NodeConfig
from pulse.flags import LISTS, NUMBERS, SETTINGS, SWITCHES, VARIABLES

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
