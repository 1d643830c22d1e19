"""Answers to nothing (R4): a member that marks what it sends as an answer, under rules that let others only ask it.

The CA may open TCP connections to port 22 of anybody; nothing else is allowed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pulse.core.network.policy import Rule
from pulse.lab.lab import Lab
from tests.e2e.mesh import Node, write_rules
from tests.namespace import require_root
from tests.security.frames import Hop
from tests.security.link import Link
from tests.security.packets import TCP, Ends, datagram, echo, flow_of, syn, unreachable
from tests.security.rogue import Rogue
from tests.security.scene import TOGETHER, bad_member, drops
from tests.security.session import Session

SSH = 22


@dataclass(frozen=True, slots=True)
class Asked:
    """The victim, and the rogue's session with it."""

    ca: Node
    link: Link
    session: Session

    @property
    def back(self) -> Ends:
        """From the rogue to the victim."""
        return Ends(self.link.me, self.link.there)


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    require_root()
    with Lab(TOGETHER) as lab:
        ca = Node(lab["a"])
        ca.start("--ca", "--scribe", "--network", "test")
        me = ca.status().node.id
        ca.stop()
        write_rules(ca, [Rule("ssh", [me], ["*"], allow=True, protocols=[TCP], ports=[(SSH, SSH)])])
        ca.start()
        with Rogue(lab["r"], bad_member(ca)) as rogue:
            link = rogue.dials(ca)
            session = Session([link])
            session.waits_up()
            yield Asked(ca, link, session)
        assert " ERROR " not in ca.log


def question(asked: Asked) -> bytes:
    """The packet with which the victim asks the rogue."""
    heard = asked.session.heard.packets
    before = len(heard)
    command = ["timeout", "5", "bash", "-c", f"echo > /dev/tcp/{asked.link.me}/{SSH}"]
    asked.ca.host.popen(command)
    asked.link.waits(lambda: len(heard) > before, "it asks")
    return heard[before]


def test_an_answer_to_nothing_is_dropped_whatever_its_frame_claims(asked: Asked) -> None:
    with drops(asked.ca, unsolicited=6):
        for port in (22, 80, 40_000):
            opens = syn(asked.back, SSH, port)
            asked.link.throws(asked.session.seals(opens), asked.session.frames(opens, flags=Hop.REPLY))


def test_what_no_rule_allows_in_either_direction_is_dropped_as_denied(asked: Asked) -> None:
    with drops(asked.ca, policy_denied=3):
        asked.session.sends(echo(asked.back), datagram(asked.back, SSH, 7), syn(asked.back, 23, 7))


def test_after_a_question_its_answer_passes_and_errors_about_it_and_nothing_else(asked: Asked) -> None:
    asks = question(asked)
    flow, heard = flow_of(asks), asked.session.heard.packets
    assert (flow.proto, flow.dport) == (TCP, SSH)
    before = len(heard)
    about = unreachable(asked.back, asks)
    never_sent = unreachable(asked.back, syn(Ends(asked.back.dst, asked.back.src), 7, SSH))

    with drops(asked.ca, unsolicited=1, policy_denied=1):
        asked.session.sends(syn(asked.back, SSH, flow.sport + 1), never_sent)
        asked.session.sends(syn(asked.back, SSH, flow.sport), about)

    asked.link.waits(lambda: len(heard) > before, "its kernel says something to the answer")
