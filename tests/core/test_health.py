"""Health: one sentence, and in it the one thing to do first."""

from dataclasses import replace

import pytest

from pulse.core.health import DAY, PeerHealth, Vitals, judge

LINKED = PeerHealth("web", direct=True, configured=True)
AWAY = PeerHealth("laptop", direct=False, configured=False)
MISSED = PeerHealth("192.0.2.1:443", direct=False, configured=True, last_error="no answer")
WELL = Vitals(peers=(LINKED,), certificate_left=60 * DAY, certificate_life=90 * DAY, clock_offset=0.0, tun_wanted=True)


def test_a_node_among_its_peers_is_well() -> None:
    health = judge(WELL)

    assert health.well
    assert health.sentence == "All well. 2 nodes, 1 direct."


def test_peers_nobody_named_may_be_away() -> None:
    assert judge(replace(WELL, peers=(LINKED, AWAY))).sentence == "All well. 3 nodes, 1 direct, 1 away."


def test_relayed_peers_are_counted_apart_and_miss_nobody() -> None:
    relayed = PeerHealth("cam", direct=False, configured=True, relayed=True)

    assert judge(replace(WELL, peers=(LINKED, relayed))).sentence == "All well. 3 nodes, 1 direct, 1 over a relay."
    assert judge(replace(WELL, peers=(LINKED, relayed, relayed, AWAY))).sentence == (
        "All well. 5 nodes, 1 direct, 2 over relays, 1 away."
    )


def test_a_first_node_is_well_and_told_how_others_come() -> None:
    health = judge(replace(WELL, peers=()))

    assert health.well
    assert "pulse invite" in health.sentence


@pytest.mark.parametrize(
    ("vitals", "complaint"),
    [
        (replace(WELL, revoked=True), "this node is revoked: nobody talks to it"),
        (replace(WELL, certificate_left=0.0), "this node's certificate has ended"),
        (replace(WELL, certificate_left=19 * DAY), "this node's certificate ends in 19 days"),
        (replace(WELL, late=(("cam-7", 6 * DAY),)), "certificate of cam-7 ends in 6 days (pulse why cam-7)."),
        (replace(WELL, late=(("cam-7", 30 * 3600.0),)), "certificate of cam-7 ends in 1 day ("),
        (replace(WELL, late=(("cam-7", 60.0),)), "certificate of cam-7 ends in less than a day ("),
        (replace(WELL, tun_problem="no /dev/net/tun"), "no mesh addresses: no /dev/net/tun"),
        (
            replace(WELL, scribe_problem="the CA is not met yet"),
            "this node is not the scribe it was started to be: the CA",
        ),
        (
            replace(WELL, resolver_problem="this node answers no DNS"),
            "this machine does not ask for names under .pulse: this node answers no DNS (to do without: pulse setup",
        ),
        (replace(WELL, exit_problem="nobody gets out: no nft"), "nobody gets out: no nft"),
        (replace(WELL, left="undo is damaged"), "an earlier run may have left something here: undo is damaged"),
        (replace(WELL, exits_problem="not root"), "not root"),
        (
            replace(WELL, ranges_refused=("0.0.0.0/0", "10.0.0.0/8")),
            "0.0.0.0/0, 10.0.0.0/8 is closed: no exit leads there now (pulse route list)",
        ),
        (
            replace(WELL, bypasses=("128.0.0.0/1 via 192.0.2.1 dev eth0",)),
            "packets for 128.0.0.0/1 go past the exit, by a route of this machine (ip route del 128.0.0.0/1 via",
        ),
        (replace(WELL, peers=(MISSED,)), "192.0.2.1:443 is not reached: no answer (is it up?"),
        (replace(WELL, peers=(replace(MISSED, last_error=""),)), "192.0.2.1:443 is not reached (is it up?"),
        (replace(WELL, peers=(MISSED,), cut_off=True), "this machine has no network: no interface is up"),
        (replace(WELL, clock_offset=301.0), "this clock is 5 min ahead of the neighbours'"),
        (replace(WELL, clock_offset=-3600.0), "this clock is 60 min behind the neighbours'"),
    ],
)
def test_whatever_is_wrong_is_named(vitals: Vitals, complaint: str) -> None:
    health = judge(vitals)

    assert not health.well
    assert health.sentence.startswith(f"1 thing to see to: {complaint}")


def test_a_problem_with_a_device_nobody_wants_is_none() -> None:
    assert judge(replace(WELL, tun_wanted=False, tun_problem="not made yet")).well


def test_of_several_complaints_the_most_pressing_is_told_with_their_number() -> None:
    sick = replace(WELL, peers=(MISSED,), certificate_left=-1.0, clock_offset=999.0, tun_problem="gone")

    assert judge(sick).sentence.startswith("4 things to see to: this node's certificate has ended")


@pytest.mark.parametrize(("left", "well"), [(20 * DAY, True), (20 * DAY - 1, False)])
def test_a_certificate_is_worth_a_word_in_its_last_twenty_days(left: float, *, well: bool) -> None:
    assert judge(replace(WELL, certificate_left=left)).well is well


def test_a_short_life_is_judged_by_its_own_measure() -> None:
    assert judge(replace(WELL, certificate_left=5.0, certificate_life=20.0)).well
    assert not judge(replace(WELL, certificate_left=4.0, certificate_life=20.0)).well


@pytest.mark.parametrize("offset", [300.0, -300.0])
def test_a_clock_a_little_off_is_well(offset: float) -> None:
    assert judge(replace(WELL, clock_offset=offset)).well
