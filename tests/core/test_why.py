"""Why: each thing that can stand between two nodes has its verdict, and its sentence names the right one."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.messages import pack
from pulse.core.why import Account, Code, End, Place, Verdict, judge

RELAY = bytes(32)
UNHEARD = Place("203.0.113.1:443", sent=11)
HEARD = Place("203.0.113.1:443", sent=11, answered=1)


def account(**changes: object) -> Account:
    """A node behind a cone NAT that reaches the other over a relay, and has tried."""
    usual = Account("quic", RELAY, has_udp=True, has_links=True, is_wanted=True, attempts=2, nat="cone", observers=2)
    return msgspec.structs.replace(usual, places=(UNHEARD,), **changes)


def verdict(ours: Account | None, theirs: Account | None, via: str = "relay-01") -> Verdict:
    return judge(End("db-server", ours), End("laptop", theirs), via)


@pytest.mark.parametrize(
    ("ours", "theirs", "code", "sentence"),
    [
        (account(has_udp=False), account(), Code.UDP_BLOCKED, "the network of db-server lets no UDP through"),
        (account(), account(has_udp=False), Code.UDP_BLOCKED, "the network of laptop lets no UDP through"),
        (account(is_linked=True), account(is_linked=True), Code.RELAY_PREFERRED, "the direct link is silent"),
        (account(is_wanted=False), account(is_wanted=False), Code.NO_TRAFFIC, "no traffic that would want"),
        (account(attempts=0), account(attempts=0), Code.SEEKING, "being looked for just now"),
        (account(nat="symmetric"), account(nat="symmetric"), Code.SYMMETRIC_NATS, "both are behind symmetric NATs"),
        (account(nat="symmetric"), account(), Code.SYMMETRIC_NAT, "db-server is behind a symmetric NAT"),
        (account(), account(nat="symmetric"), Code.SYMMETRIC_NAT, "laptop is behind a symmetric NAT"),
        (account(), account(), Code.UNANSWERED, "no probe of either reached the other"),
        (account(), None, Code.UNANSWERED, "no probe of either reached the other"),
    ],
)  # fmt: skip
def test_a_relayed_path_has_its_reason(ours: Account, theirs: Account | None, code: Code, sentence: str) -> None:
    told = verdict(ours, theirs)

    assert told.code is code
    assert told.sentence.startswith("laptop is reached by quic over relay-01, because ")
    assert sentence in told.sentence


def test_probes_that_arrive_one_way_only_point_at_the_firewall_of_who_hears_nothing() -> None:
    hears = msgspec.structs.replace(account(), places=(HEARD,))

    told = verdict(hears, account())
    assert (told.code, told.help) == (Code.ONE_WAY, "look for a firewall before laptop that drops UDP coming in")
    assert "probes of laptop reach db-server" in told.sentence
    assert "before db-server" in verdict(account(), hears).help


def test_two_behind_one_nat_that_does_not_hairpin() -> None:
    ours, theirs = (account(seen=(f"203.0.113.9:{port}",)) for port in (1, 2))

    told = verdict(ours, theirs)
    assert told.code is Code.NO_HAIRPIN
    assert "both are behind the NAT of 203.0.113.9" in told.sentence
    assert verdict(ours, account(seen=("not an address",))).code is Code.UNANSWERED


@pytest.mark.parametrize(
    ("ours", "theirs", "came_of_it", "turn_on"),
    [
        (
            "off",
            "off",
            "; birthday probing is off at db-server and laptop",
            "start db-server and laptop with --birthday",
        ),
        ("untried", "off", "; birthday probing is off at laptop", "or start laptop with --birthday"),
        ("untried", "untried", "; birthday probing is yet to be tried", "by hand"),
        ("under_way", "untried", "; birthday probing goes on just now", "by hand"),
        ("untried", "failed", "; birthday probing found no way, and is tried once an hour", "by hand"),
        ("opened", "opened", "; the way that birthday probing found is gone, and it is tried once an hour", "by hand"),
        ("", "", " sent to", "by hand"),
    ],
)
def test_where_birthday_probing_could_help_it_says_what_came_of_it(
    ours: str, theirs: str, came_of_it: str, turn_on: str
) -> None:
    told = verdict(account(nat="symmetric", birthday=ours), account(birthday=theirs))

    assert told.sentence.endswith(f"{came_of_it}.")
    assert told.help.endswith(turn_on)


def test_two_symmetric_nats_are_beyond_birthday_probing() -> None:
    each = account(nat="symmetric", birthday="off")
    told = verdict(each, each)

    assert told.sentence.endswith("because both are behind symmetric NATs, which nobody can punch.")
    assert "birthday" not in told.help


def test_without_any_address_there_is_nothing_to_try() -> None:
    nowhere = msgspec.structs.replace(account(), places=())

    assert verdict(nowhere, nowhere).code is Code.NO_PLACES


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ("quic", "laptop is reached directly by quic."),
        ("direct_quic", "laptop is reached directly by direct_quic, through a hole punched in the NATs."),
    ],
)
def test_a_direct_path_needs_no_reason(link: str, sentence: str) -> None:
    assert verdict(account(link=link, via=b""), account(), via="") == Verdict(Code.DIRECT, sentence)


def test_a_direct_websocket_says_where_udp_ends() -> None:
    direct = {"link": "websocket", "via": b""}

    blocked = verdict(account(**direct), account(**direct, has_udp=False), via="")
    assert blocked.sentence == (
        "laptop is reached by websocket directly, because the network of laptop lets no UDP through."
    )
    assert blocked.help == "allow UDP out of laptop's network"
    assert verdict(account(**direct), account(**direct), via="").code is Code.UDP_BLOCKED_BETWEEN


def test_no_path_says_how_the_last_dial_ended() -> None:
    lost = account(link="-", via=b"")
    told = verdict(msgspec.structs.replace(lost, places=(Place("192.0.2.1:1", error="no answer"),)), None, via="")

    assert told == Verdict(Code.NO_PATH, "Nothing leads from db-server to laptop now (no answer).")


accounts = st.builds(
    Account,
    link=st.sampled_from(["-", "quic", "direct_quic", "websocket", "of the future"]),
    via=st.sampled_from([b"", RELAY]),
    places=st.lists(st.builds(Place, st.just("192.0.2.1:1"), *[st.integers(0, 2)] * 3), max_size=3).map(tuple),
    seen=st.lists(st.sampled_from(["203.0.113.9:1", "x"]), max_size=2).map(tuple),
    nat=st.sampled_from(["none", "cone", "symmetric", "unknown", "of the future"]),
    has_udp=st.booleans(),
    has_links=st.booleans(),
    is_wanted=st.booleans(),
    is_linked=st.booleans(),
    attempts=st.integers(0, 3),
)


@given(accounts, st.none() | accounts, st.sampled_from(["", "relay-01"]))
def test_whatever_is_told_there_is_one_sentence(ours: Account, theirs: Account | None, via: str) -> None:
    told = verdict(ours, theirs, via)

    assert told.sentence.endswith(".")
    assert "laptop" in told.sentence
    assert msgspec.msgpack.decode(pack(ours), type=Account) == ours
