"""Which config counts: its signer, its numbers, its range."""

from ipaddress import IPv4Network

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from pulse.core.messages import ObjectKind, Wire, pack
from pulse.core.network import netconfig, ranges
from pulse.core.network.netconfig import (
    Config,
    Offer,
    Settings,
    SignedConfig,
    claimed_epoch,
    compare_configs,
    first_config,
    named,
    open_config,
    reaches_floor,
    read_offer,
    sign_config,
)
from pulse.core.network.policy import RULES_LIMIT, Rule
from pulse.core.network.routes import Route
from pulse.core.network.templates import Template
from pulse.core.network.zones import ZoneRecord
from pulse.core.trust.identity import public_bytes
from pulse.core.trust.join import Floors
from pulse.core.trust.members import Naming
from pulse.core.trust.roles import Roles
from pulse.core.trust.signed import Comparison, Forged, seal
from pulse.core.types import NodeId
from pulse.errors import ProtocolError, Refused
from tests.authority import Ca, key, node

CA = Ca()
SCRIBE = key("scribe")
ROLES = Roles(1, node("scribe"), 3)


def config(epoch: int, generation: int, cidr: str = "10.100.0.0/16") -> Config:
    return Config(epoch, generation, Settings(cidr))


def reopened(signed: SignedConfig, *, scribe: bool = True) -> SignedConfig:
    return open_config(signed.data, CA.network, [CA.authority], ROLES, public_bytes(SCRIBE) if scribe else None)


def test_the_ca_makes_the_network_with_its_range() -> None:
    first = first_config(CA.network, IPv4Network("10.7.0.0/16"), CA.key)
    assert reopened(first, scribe=False) == first
    assert (first.number, first.mesh_cidr) == ((0, 1), IPv4Network("10.7.0.0/16"))


class Earlier(Wire, frozen=True):
    """A config of the releases before templates, zones and routes."""

    scribe_epoch: int
    generation: int
    settings: Settings
    names: dict[bytes, str]
    tags: dict[bytes, list[str]]
    acl: list[Rule]
    tests: list[str]
    groups: dict[str, list[str]]


def test_a_config_without_the_newest_sections_is_read_as_ever() -> None:
    earlier = Earlier(3, 8, Settings("10.100.0.0/16"), {}, {}, [Rule("r1", ["*"], ["*"], True)], [], {"ops": ["web"]})
    data = seal(ObjectKind.CONFIG, CA.network, pack(earlier), SCRIBE)
    opened = open_config(data, CA.network, [CA.authority], ROLES, public_bytes(SCRIBE))

    assert (opened.data, opened.number, opened.config.groups) == (data, (3, 8), {"ops": ["web"]})
    newest = (opened.config.templates, opened.config.zones, opened.config.routes, opened.config.auto_approve)
    assert newest == ({}, [], [], {})


def test_the_newest_sections_are_signed_and_read_with_all_else() -> None:
    zones, routes = [ZoneRecord("db.pulse", "MX", "of a later release")], [Route(bytes(32), "::/0")]
    full = structs.replace(config(3, 8), templates={"web": Template(["web"])}, zones=zones, routes=routes)
    assert reopened(sign_config(CA.network, full, SCRIBE)).config == full


def test_the_scribe_of_the_roles_in_force_may_sign() -> None:
    signed = sign_config(CA.network, config(3, 8), SCRIBE)
    assert reopened(signed) == signed


@pytest.mark.parametrize(
    "signed",
    [
        sign_config(CA.network, config(2, 8), SCRIBE),
        sign_config(CA.network, config(4, 8), SCRIBE),
        sign_config(CA.network, config(3, 8), CA.key),
        sign_config(CA.network, config(0, 1), SCRIBE),
        sign_config(CA.network, config(0, 2), CA.key),
        sign_config(CA.network, config(3, 8), key("evil")),
        sign_config(Ca("other").network, config(3, 8), SCRIBE),
    ],
)
def test_a_config_by_anybody_else_is_refused(signed: SignedConfig) -> None:
    with pytest.raises(Refused):
        reopened(signed)


def test_without_the_scribes_key_its_config_cannot_be_judged() -> None:
    with pytest.raises(Refused):
        reopened(sign_config(CA.network, config(3, 8), SCRIBE), scribe=False)


@pytest.mark.parametrize("bad", [config(0, 1, "8.8.8.0/24"), config(2**63 - 1, 1), config(0, -1)])
def test_values_out_of_bounds_are_a_protocol_error(bad: Config) -> None:
    sealed = seal(ObjectKind.CONFIG, CA.network, pack(bad), CA.key)
    with pytest.raises(ProtocolError):
        open_config(sealed, CA.network, [CA.authority], ROLES)


@given(st.tuples(st.integers(1, 5), st.integers(1, 5)), st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_the_higher_number_wins(ours: tuple[int, int], theirs: tuple[int, int]) -> None:
    a, b = (sign_config(CA.network, config(*number), SCRIBE) for number in (ours, theirs))
    expected = Comparison.SAME if ours == theirs else Comparison.NEWER if theirs > ours else Comparison.OLDER
    assert compare_configs(a, b) is expected


def test_two_configs_of_one_number_are_an_alarm_that_all_settle_alike() -> None:
    a = sign_config(CA.network, config(3, 8), SCRIBE)
    b = sign_config(CA.network, config(3, 8, "10.8.0.0/16"), SCRIBE)
    assert compare_configs(a, b).is_alarm
    assert compare_configs(a, b).takes_theirs is not compare_configs(b, a).takes_theirs


def test_a_config_below_the_floor_is_not_enough() -> None:
    first = first_config(CA.network, ranges.DEFAULT, CA.key)
    assert reaches_floor(first, Floors())
    assert not reaches_floor(first, Floors(0, 0, 2))
    assert not reaches_floor(first, Floors(0, 1, 1))


# Names and tags

names = st.from_regex(r"[g-z][a-z0-9-]{0,8}[g-z]", fullmatch=True)
nodes = st.binary(min_size=32, max_size=32).map(lambda data: NodeId(data.hex()))
namings = st.builds(
    lambda ids, given, worn: Naming(dict(zip(ids, given, strict=False)), dict(zip(ids, worn, strict=False))),
    st.lists(nodes, unique=True, max_size=6),
    st.lists(names, unique=True, max_size=6),
    st.lists(st.lists(names, unique=True, max_size=4).map(tuple), max_size=6),
)


class Old(Wire, frozen=True):
    """The payload of the release before names."""

    scribe_epoch: int
    generation: int
    settings: Settings


@given(namings)
def test_names_and_tags_come_back_as_they_were_signed(naming: Naming) -> None:
    signed = sign_config(CA.network, named(config(3, 8), naming), SCRIBE)

    assert reopened(signed).naming == naming
    assert read_offer(pack(signed.offer)).rank == signed.rank
    assert claimed_epoch(signed.data) == 3


def test_the_same_naming_has_the_same_bytes_whatever_its_order() -> None:
    one, other = {node("a"): "web", node("b"): "db"}, {node("b"): "db", node("a"): "web"}
    assert pack(named(config(3, 8), Naming(one))) == pack(named(config(3, 8), Naming(other)))


def test_a_name_that_was_reserved_since_stays_readable() -> None:
    naming = Naming({node("a"): "localhost"})
    assert reopened(sign_config(CA.network, named(config(3, 8), naming), SCRIBE)).naming == naming


def test_a_config_of_the_release_before_names_nobody() -> None:
    sealed = seal(ObjectKind.CONFIG, CA.network, pack(Old(3, 8, Settings("10.100.0.0/16"))), SCRIBE)
    signed = open_config(sealed, CA.network, [CA.authority], ROLES, public_bytes(SCRIBE))
    assert signed.naming == Naming()


BAD: dict[str, tuple[dict[bytes, str], dict[bytes, list[str]]]] = {
    "one name twice": ({bytes(32): "web", bytes([1]) * 32: "web"}, {}),
    "an id that is none": ({bytes(31): "web"}, {}),
    "an escape in a name": ({bytes(32): "web\x1b[2J"}, {}),
    "a name that reads as an id": ({bytes(32): "cafe"}, {}),
    "a name too long": ({bytes(32): "w" * 65}, {}),
    "no name": ({bytes(32): ""}, {}),
    "too many names": ({number.to_bytes(32): f"n-{number}" for number in range(4097)}, {}),
    "one tag twice": ({}, {bytes(32): ["db", "db"]}),
    "an escape in a tag": ({}, {bytes(32): ["\u202edb"]}),
    "too many tags": ({}, {bytes(32): [f"t{number}" for number in range(33)]}),
    "too many tagged": ({}, {number.to_bytes(32): [] for number in range(4097)}),
}


@pytest.mark.parametrize("name", BAD)
def test_names_and_tags_that_can_be_none_are_a_protocol_error(name: str) -> None:
    payload = pack(Config(3, 8, Settings("10.100.0.0/16"), *BAD[name]))
    sealed = seal(ObjectKind.CONFIG, CA.network, payload, SCRIBE)
    with pytest.raises(ProtocolError) as refused:
        open_config(sealed, CA.network, [CA.authority], ROLES, public_bytes(SCRIBE))
    assert "\x1b" not in str(refused.value)


def test_a_full_config_of_a_thousand_nodes_can_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    naming = Naming({node(str(n)): f"machine-{n}" for n in range(1000)}, {node(str(n)): ("db",) for n in range(1000)})
    signed = sign_config(CA.network, named(config(3, 8), naming), SCRIBE)
    assert len(signed.data) < 110_000

    monkeypatch.setattr(netconfig, "CONFIG_LIMIT", len(signed.data) - 1)
    with pytest.raises(Refused, match="are allowed"):
        sign_config(CA.network, signed.config, SCRIBE)


def test_a_forged_config_is_told_from_one_that_does_not_count() -> None:
    with pytest.raises(Forged):
        reopened(sign_config(CA.network, config(3, 8), key("evil")))
    with pytest.raises(Refused) as refused:
        reopened(sign_config(CA.network, config(2, 8), SCRIBE))
    assert not isinstance(refused.value, Forged)


@pytest.mark.parametrize("data", [b"", b"\x93\x01\x02", pack(Offer(1, 2, bytes(31))), pack(Offer(-1, 2, bytes(32)))])
def test_an_offer_out_of_bounds_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_offer(data)


# Rules

RULES = [
    Rule("1", ["tag:front", "*"], [node("db")], allow=True, protocols=[6, 17], ports=[(80, 90)], redundant=True),
    Rule("2", ["*"], ["*"], allow=False),
]


def opened(config: Config) -> SignedConfig:
    sealed = seal(ObjectKind.CONFIG, CA.network, pack(config), SCRIBE)
    return open_config(sealed, CA.network, [CA.authority], ROLES, public_bytes(SCRIBE))


def test_rules_come_back_as_they_were_signed_and_an_edit_of_names_keeps_them() -> None:
    ruled = structs.replace(config(3, 8), acl=RULES)

    assert reopened(sign_config(CA.network, ruled, SCRIBE)).config.acl == RULES
    assert named(ruled, Naming({node("a"): "web"})).acl == RULES


def test_a_config_of_the_release_before_has_no_rules() -> None:
    assert opened(config(3, 8)).config.acl == []


def test_a_config_of_before_ids_were_counted_is_good_and_the_count_is_signed_with_the_rest() -> None:
    ruled = structs.replace(config(3, 8), acl=RULES, last_rule=7, last_test=2)
    before = msgspec.msgpack.encode([getattr(ruled, name) for name in Config.__struct_fields__[:-4]])
    old = open_config(
        seal(ObjectKind.CONFIG, CA.network, before, SCRIBE), CA.network, [CA.authority], ROLES, public_bytes(SCRIBE)
    ).config

    assert (old.acl, old.last_rule, old.last_test) == (RULES, 0, 0)
    assert (opened(ruled).config.last_rule, opened(ruled).config.last_test) == (7, 2)


def test_a_config_of_before_ids_without_a_number_were_remembered_is_good() -> None:
    ruled = structs.replace(config(3, 8), acl=RULES, gone_rules=["ssh"], gone_tests=["no-ssh"])
    before = msgspec.msgpack.encode([getattr(ruled, name) for name in Config.__struct_fields__[:-2]])
    sealed = seal(ObjectKind.CONFIG, CA.network, before, SCRIBE)
    old = open_config(sealed, CA.network, [CA.authority], ROLES, public_bytes(SCRIBE)).config

    assert (old.acl, old.gone_rules, old.gone_tests) == (RULES, [], [])
    assert opened(ruled).config.gone_rules == ["ssh"]


def test_what_a_later_release_appends_to_a_rule_is_left_out() -> None:
    class Later(Rule, frozen=True):
        tone: str = "why"

    later = Later("1", ["*"], ["*"], allow=True, redundant=True)
    assert opened(structs.replace(config(3, 8), acl=[later])).config.acl == [
        Rule("1", ["*"], ["*"], allow=True, redundant=True)
    ]


@pytest.mark.parametrize(
    "bad",
    [
        Rule("1", ["*"], ["*"], allow=True, ports=[(9, 8)]),
        Rule("1", ["*"], ["*"], allow=True, ports=[(1, 65536)]),
        Rule("1", ["*"], ["*"], allow=True, protocols=[256]),
        Rule("1", ["x" * 81], ["*"], allow=True),
        Rule("1", ["*"], ["x"] * 257, allow=True),
        Rule("1" * 65, ["*"], ["*"], allow=True),
    ],
)
def test_rules_out_of_bounds_are_a_protocol_error(bad: Rule) -> None:
    with pytest.raises(ProtocolError):
        opened(structs.replace(config(3, 8), acl=[bad]))


def test_more_rules_than_a_config_holds_are_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        opened(structs.replace(config(3, 8), acl=[Rule("1", ["*"], ["*"], allow=True)] * (RULES_LIMIT + 1)))


def test_rules_the_data_plane_would_refuse_are_not_signed() -> None:
    with pytest.raises(Refused, match="no range"):
        sign_config(
            CA.network, structs.replace(config(3, 8), acl=[Rule("1", ["*"], ["*"], allow=True, ports=[(9, 8)])]), SCRIBE
        )


@pytest.mark.parametrize(
    "bad",
    [
        {"acl": [Rule("1", ["*"], ["*"], allow=True, protocols=[*range(33)])]},
        {"acl": [Rule("1", ["*"], ["*"], allow=True, note="n" * 201)]},
        {"acl": [Rule("1", ["*"], ["*"], allow=True, expires=1e300)]},
        {"settings": Settings("203.0.113.0/24")},
        {"names": {bytes(32): "no name"}},
        {"generation": 2**53},
    ],
)
def test_what_no_node_could_read_is_not_signed(bad: dict[str, object]) -> None:
    with pytest.raises(Refused, match="it is not signed"):
        sign_config(CA.network, structs.replace(config(3, 8), **bad), SCRIBE)
