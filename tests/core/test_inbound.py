"""Inbound: what a neighbour's message does; the conversations are in test_mesh.py."""

from pulse.core.effects import CloseLink
from pulse.core.inbound import message_received
from pulse.core.types import LinkId
from tests.core.meshing import ALICE, Node


def test_what_cannot_be_read_closes_its_own_link_and_a_link_that_is_gone_says_nothing() -> None:
    here = Node()
    link = here.linked(ALICE)

    (closed, _) = message_received(here.mesh, link, b"\xc1", here.now)
    assert closed == CloseLink(link, "protocol")
    assert message_received(here.mesh, LinkId(4711), b"\xc1", here.now) == []
