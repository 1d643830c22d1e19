"""Routing at all nodes of a mesh at once: whatever each picks and wherever people pin nodes to, no frame runs in a
circle and every one arrives."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.paths.atlas import Atlas, Mind
from tests.core.paths.drawn import atlases


@settings(max_examples=80)
@given(atlas=atlases(least=3), data=st.data())
def test_whichever_hops_the_nodes_pick_every_frame_arrives(atlas: Atlas, data: st.DataObject) -> None:
    minds = {node: Mind(atlas, node) for node in atlas.nodes()}
    for mind in minds.values():
        for other in atlas.around(mind.me):
            # What a node measures itself ranks its ways, and may be anything.
            mind.measured(other, data.draw(st.integers(0, 300)), data.draw(st.sampled_from([0.0, 0.2])))
        chosen = st.sampled_from(sorted(minds))
        mind.pinned(*data.draw(st.lists(st.tuples(chosen, chosen), max_size=3)))
        mind.passed(60.0)

    for to in sorted(minds):
        onward = {node: picks(atlas, mind, to) for node, mind in minds.items() if node != to}
        assert all(onward.values()), "everybody has a way, for the mesh is connected"
        assert_no_circle(onward)


def picks(atlas: Atlas, mind: Mind, to: int) -> set[int]:
    """Every node a frame for `to` may be at next, also when only the backup is left."""
    found = set()
    for hop in mind.hops(to):
        first = hop.link - 1000
        if hop.last:
            assert to in atlas.around(first), "it has a link of its own to the node, and sends over no other"
        found.add(to if hop.last else first)
    return found


def assert_no_circle(onward: dict[int, set[int]]) -> None:
    """Take away who leads to nobody but the node itself, again and again: in the end nobody is left."""
    left = dict(onward)
    while done := {node for node, nexts in left.items() if not nexts & left.keys()}:
        left = {node: nexts for node, nexts in left.items() if node not in done}
    assert not left
