"""Carries the attempts at holes in NATs: the question and its answer over the session, the probes from our socket.

Invariant: each question of the mesh gets one answer, and each of another node too; nothing is judged here.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from pulse.core.effects import AnswerPunch, AskPunch, ExpectProbes, Punching, SendProbe, SendProbesApart
from pulse.core.facts import Fact, PunchAnswered, PunchAsked
from pulse.core.messages import MethodName
from pulse.core.paths.traversal import ANSWER
from pulse.core.types import NodeId
from pulse.errors import PulseError, Refused
from pulse.net.links import Links, Rpc


@dataclass(slots=True)
class TraversalService:
    """The shell of `core/paths/traversal.py`."""

    links: Links
    call: Rpc
    tell: Callable[[Fact], None]
    _questions: asyncio.Queue[AskPunch] = field(default_factory=asyncio.Queue)
    """Bounded by the mesh, which asks each node one question at a time."""
    _answers: dict[int, bytes | None] = field(default_factory=dict)
    _calls: int = 0

    async def run(self) -> None:
        """Ask, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._ask(await self._questions.get()))

    def perform(self, effect: Punching) -> None:
        """Do what an attempt asks for."""
        match effect:
            case AskPunch():
                self._questions.put_nowait(effect)
            case AnswerPunch(call, body):
                self._answers[call] = body
            case ExpectProbes(attempts):
                self.links.expect_probes(attempts)
            case SendProbe(address, attempt):
                self.links.send_probe(address, attempt)
            case SendProbesApart(address, attempt, count):
                self.links.send_probes_apart(address, attempt, count)
            case _:
                assert_never(effect)

    async def answer(self, node: NodeId, body: bytes) -> bytes:
        """The method `punch`: where we are, and our half of the secret. Raises Refused."""
        self._calls += 1
        self.tell(PunchAsked(self._calls, node, body))
        # The mesh answers while it is told.
        answer = self._answers.pop(self._calls)
        if answer is None:
            raise Refused("not now: there is a link with it, an attempt of ours begins, or there were too many")
        return answer

    async def _ask(self, asked: AskPunch) -> None:
        try:
            answer = await self.call(asked.node, MethodName.PUNCH, asked.body, ANSWER)
        except PulseError as refusal:
            self.tell(PunchAnswered(asked.node, None, str(refusal)))
        else:
            self.tell(PunchAnswered(asked.node, answer))
