"""What people do all the time while nodes are killed, and what was acknowledged of it.

Invariant: what was answered with success counts as done from that moment on; what was not may be done or not.
"""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from pulse.calls.acls import AclCalls
from pulse.calls.revoke import RevokeCalls
from pulse.calls.tokens import TokenCalls
from pulse.client import connect
from pulse.errors import PulseError
from pulse.schemas.policy import GroupRef, GroupRequest
from pulse.schemas.tokens import TokenRequest
from tests.e2e.mesh import Node

MOST_GROUPS = 12
MEMBERS = ["tag:any"]


@dataclass
class Load:
    """Tokens, joins, revocations at the CA; edits by an operator far from the scribe."""

    ca: Node
    operator: Node
    random: Random
    done: Counter[str] = field(default_factory=Counter)
    """What was acknowledged, by kind."""
    failed: Counter[str] = field(default_factory=Counter)
    tokens: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    groups: dict[str, set[bool]] = field(default_factory=dict)
    """Whether each may be there."""
    gone: set[str] = field(default_factory=set)
    """Groups that were taken away."""
    newest: tuple[int, ...] = (0, 0)
    """The newest config that an acknowledged edit named."""
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Go on till `stop`; for a thread of its own."""
        acts = (self._token, self._set_group, self._set_group, self._remove_group, self._revoke)
        while not self._over.is_set():
            act = self.random.choice(acts)
            with self._turn:
                self._try(act)
            time.sleep(self.random.uniform(0.0, 0.2))

    def stop(self) -> None:
        """Come to an end."""
        self._over.set()

    def paused(self) -> threading.Lock:
        """While this is held nothing is under way."""
        return self._turn

    def _try(self, act: Callable[[], None]) -> None:
        kind = act.__name__.removeprefix("_")
        try:
            act()
        except PulseError:
            self.failed[kind] += 1
        else:
            self.done[kind] += 1

    def _token(self) -> None:
        with connect(self.ca.host.data) as client:
            self.tokens.add(TokenCalls(client).create_token(TokenRequest(max_uses=1)).info.id)

    def _revoke(self) -> None:
        node = secrets.token_hex(32)
        with connect(self.ca.host.data) as client:
            RevokeCalls(client).revoke(node)
        self.revoked.add(node)

    def _set_group(self) -> None:
        if len(self.groups) >= MOST_GROUPS:
            return
        name = f"g-{secrets.token_hex(4)}"
        self.groups[name] = {True, False}
        with connect(self.operator.host.data) as client:
            self._acknowledged(AclCalls(client).set_group(GroupRequest(name, MEMBERS, ahead=True)).version)
        self.groups[name] = {True}

    def _remove_group(self) -> None:
        if not self.groups:
            return
        name = self.random.choice(sorted(self.groups))
        self.groups[name] = {True, False}
        with connect(self.operator.host.data) as client:
            if name in {each.name for each in AclCalls(client).policy().groups}:
                self._acknowledged(AclCalls(client).remove_group(GroupRef(name)).version)
                self.gone.add(name)
        del self.groups[name]

    def _acknowledged(self, version: str) -> None:
        number = tuple(map(int, version.split(".")))
        assert number > self.newest, (number, self.newest)
        self.newest = number
