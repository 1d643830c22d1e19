"""Health: one sentence, and in it the one thing to do first."""

from dataclasses import replace

import pytest

from pulse.core.health import Company, judge
from pulse.core.symptoms import Missing, Running
from pulse.core.vitals import DAY

WELL = Running(certificate_left=60 * DAY, certificate_life=90 * DAY)


@pytest.mark.parametrize(
    ("company", "sentence"),
    [
        (Company(direct=1), "All well. 2 nodes, 1 direct."),
        (Company(direct=1, away=1), "All well. 3 nodes, 1 direct, 1 away."),
        (Company(direct=1, relayed=1), "All well. 3 nodes, 1 direct, 1 over a relay."),
        (Company(direct=1, relayed=2, away=1), "All well. 5 nodes, 1 direct, 2 over relays, 1 away."),
        (Company(), "All well, and alone: no other node has joined yet (pulse invite)."),
    ],
)
def test_a_node_with_which_nothing_is_wrong_is_well_and_its_company_is_counted(company: Company, sentence: str) -> None:
    health = judge(WELL, company)

    assert (health.well, health.sentence) == (True, sentence)


def test_of_several_complaints_the_gravest_is_told_with_their_number() -> None:
    missing = [Missing("192.0.2.1:443", "", "no answer")]
    sick = Running(certificate_left=-1.0, missing=missing, clock_offset=999.0, tun_problem="gone")
    health = judge(sick, Company(away=1))

    assert not health.well
    assert health.sentence.startswith("4 things to see to (all: pulse doctor): this node's certificate has ended")


def test_what_others_put_in_two_lines_becomes_one_sentence() -> None:
    sick = replace(WELL, exits_problem="It is taken.\nStop the other,\nthen wait.")

    assert judge(sick, Company()).sentence == "1 thing to see to: It is taken (Stop the other, then wait)."
