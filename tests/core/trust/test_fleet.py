"""The fleet's certificates: by their end, and who renews in time is never worth a word."""

import pytest

from pulse.core.trust.fleet import LATE, Outlook, outlook, survey
from pulse.core.trust.renewal import LAST_THIRD, SPREAD
from tests.authority import NOW, Ca, node

CA = Ca()
DAY = 86400.0


@pytest.mark.parametrize(
    ("left", "said"),
    [(90 * DAY, Outlook.GOOD), (20 * DAY, Outlook.GOOD), (20 * DAY - 1, Outlook.LATE), (1.0, Outlook.LATE)],
)
def test_ninety_days_are_late_in_their_last_twenty(left: float, said: Outlook) -> None:
    assert outlook(left, 90 * DAY) is said


def test_what_ended_has_ended() -> None:
    assert outlook(0.0, 90 * DAY) is outlook(-5.0, 90 * DAY) is Outlook.ENDED


def test_whoever_asks_in_time_is_not_late() -> None:
    assert LATE < LAST_THIRD - SPREAD


def test_who_ends_first_comes_first() -> None:
    ends = (("a", 80), ("b", -1), ("c", 3))
    certificates = [CA.certificate(name, not_before=NOW - 9 * DAY, not_after=NOW + days * DAY) for name, days in ends]
    found = survey(certificates, NOW)

    assert [each.certificate.node_id for each in found] == [node("b"), node("c"), node("a")]
    assert [each.outlook for each in found] == [Outlook.ENDED, Outlook.GOOD, Outlook.GOOD]
    assert found[1].left == 3 * DAY
