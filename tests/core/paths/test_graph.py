"""Graph: which links count, and with which figures."""

from dataclasses import replace

from pulse.core.paths.graph import GUESSED, Graph, OwnLink, Told, build
from pulse.core.paths.noderecord import UNMEASURED, NodeRecord
from pulse.core.paths.scores import cost
from pulse.core.types import NodeId
from tests.core.paths.atlas import handle, link, number, record, who

MINE = {who(1): OwnLink(link(1), 0.01, 0.0, False)}


def graph(*records: NodeRecord, own: dict[NodeId, OwnLink] = MINE) -> Graph:
    return build(who(0), {each.node: Told.of(each) for each in records}, own)


def counted(seen: Graph) -> dict[tuple[int, int], tuple[int, int]]:
    """Round trip in µs and loss in millionths of every link in the graph, by the nodes it joins."""
    found = {}
    for one, links in enumerate(seen.links):
        for other, weight, rtt, loss in links:
            assert weight == cost(rtt, loss)
            ends = sorted(number(seen.nodes[each]) for each in (one, other))
            found[ends[0], ends[1]] = (rtt, loss)
    assert sum(map(len, seen.links)) == 2 * len(found)
    return found


def test_a_link_both_ends_announce_counts_with_the_worse_figures() -> None:
    seen = graph(record(1, {2: (0.02, 0.2)}), record(2, {1: (0.03, 0.0)}))

    assert counted(seen) == {(0, 1): (10_000, 0), (1, 2): (30_000, 200_000)}


def test_a_link_only_one_end_announces_does_not_count() -> None:
    assert (1, 2) not in counted(graph(record(1, {2: (0.02, 0.0)}), record(2)))


def test_a_link_with_a_hub_counts_if_the_other_end_announces_it() -> None:
    assert counted(graph(record(1, hub=True), record(2, {1: (0.02, 0.0)})))[1, 2] == (20_000, 0)
    assert counted(graph(record(1, {2: (0.02, 0.0)}), record(2, hub=True)))[1, 2] == (20_000, 0)


def test_what_a_hub_alone_announces_does_not_count() -> None:
    assert (1, 2) not in counted(graph(record(1, {2: (0.02, 0.0)}, hub=True), record(2)))


def test_an_end_that_announces_a_loss_of_all_denies_the_link() -> None:
    denied = graph(record(1, {2: (0.02, 1.0)}, hub=True), record(2, {1: (0.02, 0.0)}))

    assert (1, 2) not in counted(denied)


def test_a_link_announced_before_it_was_measured_counts_with_the_figure_of_the_other_end_or_a_guess() -> None:
    one, other = record(1, {2: (UNMEASURED, 0.0)}), record(2, {1: (UNMEASURED, 0.0)})

    assert counted(graph(one, record(2, {1: (0.03, 0.0)})))[1, 2] == (30_000, 0)
    assert counted(graph(one, other))[1, 2] == (GUESSED, 0)


def test_our_own_link_counts_as_soon_as_it_is_up_and_only_then() -> None:
    assert counted(graph()) == {(0, 1): (10_000, 0)}
    assert counted(graph(record(0, {1: (0.01, 0.0)}), record(1, {0: (0.01, 0.0)}), own={})) == {}


def test_our_own_link_has_the_distance_everybody_else_sees_and_our_own_figures() -> None:
    seen = graph(record(0, {1: (0.05, 0.0)}), record(1, {0: (0.04, 0.0)}))

    assert counted(seen) == {(0, 1): (50_000, 0)}
    assert seen.own == {seen.nodes.index(who(1)): MINE[who(1)]}


def test_a_neighbour_whose_record_has_not_come_yet_is_in_the_graph() -> None:
    assert graph().nodes == [who(0), who(1)]


def test_a_node_that_announces_itself_or_strangers_adds_nothing() -> None:
    assert counted(graph(record(1, {1: (0.01, 0.0), 77: (0.01, 0.0)}, hub=True))) == {(0, 1): (10_000, 0)}


def test_of_two_nodes_with_one_handle_the_lower_id_has_it_whoever_was_heard_first() -> None:
    lower, higher = record(2, {1: (0.02, 0.0)}), replace(record(3, {1: (0.02, 0.0)}), handle=handle(2))
    hub = record(1, {2: (0.02, 0.0)})

    for order in ((hub, lower, higher), (higher, lower, hub)):
        assert set(counted(graph(*order))) == {(0, 1), (1, 2)}


def test_the_order_in_which_links_are_announced_does_not_matter() -> None:
    forth = record(1, {2: (0.01, 0.0), 3: (0.02, 0.0)})
    back = record(1, {3: (0.02, 0.0), 2: (0.01, 0.0)})

    assert Told.of(forth) == Told.of(back)


def test_everybody_counted_links_lead_to_is_reached() -> None:
    seen = graph(
        record(1, {2: (0.01, 0.0)}),
        record(2, {1: (0.01, 0.0)}),
        record(3, {4: (0.01, 0.0)}),
        record(4, {3: (0.01, 0.0)}),
    )

    assert seen.reached() == {who(1), who(2)}
