"""Names swap in one list of edits; the rest of what naming does is told by tests/core/network/test_scribe.py."""

import pytest

from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edits, edited
from pulse.core.network.naming import NodeNamed
from pulse.core.network.netconfig import Config, Settings
from pulse.core.trust.identity import node_bytes
from pulse.core.trust.members import Members, Naming
from pulse.errors import Conflict
from tests.authority import MESH, NOW, Ca, node
from tests.mint import member

CA = Ca()
HOME, CAM = (node_bytes(node(name)) for name in ("home", "cam"))


@pytest.fixture
def draft() -> Draft:
    members = Members()
    members.certificate_seen(member(CA, "home", 1, name="home"))
    members.certificate_seen(member(CA, "cam", 2, name="eye"))
    return Draft(Config(1, 1, Settings(str(MESH))), Naming(), members)


def test_two_nodes_swap_names_over_a_third_one(draft: Draft) -> None:
    swap = Edits([NodeNamed(CAM, "aside"), NodeNamed(HOME, "eye"), NodeNamed(CAM, "home")])
    assert edited(draft, swap, NOW).naming.names == {node("home"): "eye", node("cam"): "home"}


def test_a_name_of_a_certificate_is_taken_until_its_node_has_another(draft: Draft) -> None:
    with pytest.raises(Conflict, match="eye is the name of"):
        edited(draft, Edits([NodeNamed(HOME, "eye")]), NOW)
