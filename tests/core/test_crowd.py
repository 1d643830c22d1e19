"""Places that many want: nobody keeps others out, however much they take."""

from hypothesis import given
from hypothesis import strategies as st

from pulse.core.crowd import OF_ONE_NODE, OF_ONE_PROGRAM, STREAMS, Crowd


def test_who_takes_what_there_is_leaves_as_many_for_whoever_comes() -> None:
    crowd = Crowd[str](10, 10)
    while not crowd.is_full("greedy"):
        crowd.take("greedy")
    assert crowd.total == 5
    assert not crowd.is_full("late")


def test_one_has_no_more_than_one_may_and_what_was_left_is_free_again() -> None:
    crowd = Crowd[str](10, 2)
    crowd.take("one")
    crowd.take("one")
    assert crowd.is_full("one")
    crowd.leave("one")
    assert (crowd.is_full("one"), crowd.total) == (False, 1)


def test_one_program_leaves_others_room_on_the_way_to_the_same_node() -> None:
    assert (STREAMS, OF_ONE_NODE, OF_ONE_PROGRAM) == (4096, 2048, 1024), "as docs/howto/forward.md says"


@given(st.lists(st.sampled_from("abcd"), max_size=60))
def test_there_is_always_a_place_for_one_more(comers: list[str]) -> None:
    crowd = Crowd[str](16, 8)
    for who in comers:
        if not crowd.is_full(who):
            crowd.take(who)
    assert crowd.total < 16
    assert not crowd.is_full("one who was not there yet")
