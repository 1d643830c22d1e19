"""Patterns: whom they fit, and what becomes of those nobody can read."""

import pytest

from pulse.core.network.patterns import Wearing, is_pattern
from tests.core.network.nodes import CAM, DB, EVERYBODY, GROUPS, WEB

WEARING = Wearing.of(EVERYBODY, GROUPS)


@pytest.mark.parametrize(
    ("patterns", "fits"),
    [
        (["*"], None),
        (["web"], {WEB}),
        (["tag:prod"], {WEB, DB}),
        (["group:ops"], {WEB, CAM}),
        (["db", CAM.node], {DB, CAM}),
        (["cidr:192.168.7.0/24"], set()),
        (["cidr:10.100.0.2/31"], {DB, CAM}),
        (["cidr:10.100.0.1/32", "cidr:fd00::b:0/112"], {WEB, CAM}),
        (["cidr:10.100.0.0/16"], {WEB, DB, CAM}),
        (["nobody"], set()),
        ([], set()),
    ],
)
def test_it_fits_nodes_by_id_name_tag_group_and_address(patterns: list[str], fits: set[object] | None) -> None:
    expected = None if fits is None else {each.handle for each in EVERYBODY if each in fits}

    assert WEARING.handles(patterns, allow=True) == expected
    assert WEARING.handles(patterns, allow=False) == expected


@pytest.mark.parametrize("pattern", ["group:gone", "os:linux", "WEB", "cidr:1.2.3.4/40", "cidr:fd00::1%x/128", "tag:"])
def test_what_nobody_can_read_is_nobody_where_a_rule_allows_and_everybody_where_it_denies(pattern: str) -> None:
    assert WEARING.handles([pattern], allow=True) == frozenset()
    assert WEARING.handles([pattern], allow=False) is None


def test_a_group_with_a_member_nobody_can_read_denies_all_and_allows_those_who_can_be_read() -> None:
    for strange in ("os:linux", "*", "group:ops", "cidr:10.0.0.0/8"):
        wearing = Wearing.of(EVERYBODY, {"ops": ["web"], "dev": ["db", strange]})
        assert wearing.handles(["group:dev"], allow=True) == frozenset({DB.handle})
        assert wearing.handles(["group:dev"], allow=False) is None


def test_a_pattern_is_known_by_its_form() -> None:
    assert all(map(is_pattern, ["*", "web", WEB.node, "tag:a.b", "group:ops", "cidr:fd00::/8"]))
    assert not any(map(is_pattern, ["", "cafe", "a3f2*", "Tag:x", "group:", "group:Ops", "cidr:"]))
