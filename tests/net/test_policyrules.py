"""Where our rules go among those of others: whatever these are, ours are asked first there, or it is told."""

from socket import AF_INET, AF_INET6

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.net.policyrules import HOME, PLACES, Part, Rule, changes, in_the_way, read, written

rules = st.lists(
    st.builds(
        Rule, st.just(AF_INET), st.integers(PLACES[-1] - 1, HOME + 2), st.one_of(st.none(), st.sampled_from(Part))
    )
)


def asked(there: list[Rule], *added: Rule) -> list[Rule]:
    """As the kernel has them: by priority, and of equals the older one first."""
    return sorted([*there, *added], key=lambda each: each.priority)


def without_copies(there: list[Rule]) -> list[Rule]:
    """The kernel has no rule of ours twice at one priority."""
    return [each for place, each in enumerate(there) if each.part is None or each not in there[:place]]


@given(rules)
def test_whatever_is_there_the_two_stand_by_themselves_or_it_is_told(there: list[Rule]) -> None:
    before = asked(without_copies(there))
    added, taken = changes(before, AF_INET, wanted=True)
    then = asked(before, *added)
    for each in taken:
        then.remove(each)

    ours = [(place, each) for place, each in enumerate(then) if each.part is not None]
    assert [each.part for _, each in ours] == [*Part]
    if not in_the_way(then, AF_INET):
        (first, keep), (second, lead) = ours
        assert (second, lead.priority) == (first + 1, keep.priority + 1)
        assert not first or then[first - 1].priority < keep.priority
        assert changes(then, AF_INET, wanted=True) == ([], [])
    else:
        taken_places = {each.priority for each in then if each.part is None}
        assert all({place, place + 1} & taken_places for place in PLACES)
    assert changes(then, AF_INET, wanted=False) == ([], [each for _, each in ours])


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
@pytest.mark.parametrize("part", Part)
def test_what_is_written_is_read(family: int, part: Part) -> None:
    rule = Rule(family, 18086 + part, part)
    assert read(written(rule)) == rule
    assert in_the_way([rule], AF_INET) == []
