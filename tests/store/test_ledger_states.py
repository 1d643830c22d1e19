"""Any order of joins, retries, expiries and revocations keeps the ledger's promises."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pulse.core.trust.certificates import parse
from pulse.core.trust.join import Refusal
from pulse.core.trust.tokens import TokenRecord
from tests.authority import NOW, node, token
from tests.store.ledgers import issued_serials, join, make, refusal, reopen, uses

machines = st.sampled_from([f"m{number}" for number in range(8)])
HOUR = 3600.0


class Joins(RuleBasedStateMachine):
    """A ledger beside the simplest model of it."""

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp()) / "ca"
        self.tokens = [token("one", max_uses=1), token("three", ttl=5 * HOUR, max_uses=3), token("any")]
        self.ledger = make(self.directory, *self.tokens)
        self.now = NOW
        self.used = dict.fromkeys((each.token_id for each in self.tokens), 0)
        self.newest: dict[str, tuple[str, bytes]] = {}
        self.serials: list[str] = []
        self.revoked: set[str] = set()
        self.dead: set[str] = set()

    @rule(machine=machines, which=st.integers(0, 2), host=st.sampled_from(["", "box", "db-1"]))
    def a_machine_joins(self, machine: str, which: int, host: str) -> None:
        asked = self.tokens[which]
        admission = join(self.ledger, machine, asked, host=host, serial=len(self.serials) + 1, now=self.now)
        expected = self._expected(machine, asked)
        if expected is not None:
            assert refusal(admission) is expected
            return
        held = self.newest.get(machine)
        assert admission.certificate is not None
        if held is not None and held[0] == asked.token_id:
            assert admission.certificate == held[1]
            return
        assert admission.is_new
        self.used[asked.token_id] += 1
        self.newest[machine] = asked.token_id, admission.certificate
        self.serials.append(f"{parse(admission.certificate).serial:x}")

    @rule(hours=st.integers(1, 4))
    def time_passes(self, hours: int) -> None:
        self.now += hours * HOUR
        assert self.ledger.heartbeat(self.now)

    @rule(machine=machines)
    def a_node_is_revoked(self, machine: str) -> None:
        self.ledger.revoke_node(node(machine), b"signed", self.now)
        self.revoked.add(machine)

    @rule(which=st.integers(0, 2))
    def a_token_is_revoked(self, which: int) -> None:
        self.ledger.revoke_token(self.tokens[which].token_id, self.now)
        self.dead.add(self.tokens[which].token_id)

    @rule()
    def the_ca_restarts(self) -> None:
        self.ledger.close()
        self.ledger = reopen(self.directory)

    @invariant()
    def no_token_is_used_more_often_than_it_may(self) -> None:
        for each in self.tokens:
            assert uses(self.ledger, each) == self.used[each.token_id]
            assert not each.max_uses or self.used[each.token_id] <= each.max_uses

    @invariant()
    def no_two_nodes_share_an_address_or_a_name(self) -> None:
        latest = [parse(der) for _, der in self.newest.values()]
        assert len({each.addresses.v4 for each in latest}) == len(latest)
        hosts = [each.host for each in latest if each.host and each.node_id not in map(node, self.revoked)]
        assert len(set(hosts)) == len(hosts)

    @invariant()
    def every_certificate_has_its_audit_line(self) -> None:
        assert issued_serials(self.ledger) == self.serials
        assert self.ledger.verify().broken is None

    def teardown(self) -> None:
        self.ledger.close()

    def _expected(self, machine: str, asked: TokenRecord) -> Refusal | None:
        if machine in self.revoked:
            return Refusal.NODE_REVOKED
        if asked.token_id in self.dead:
            return Refusal.TOKEN_REVOKED
        if machine in self.newest and self.newest[machine][0] == asked.token_id:
            return None
        if asked.expires is not None and self.now >= asked.expires:
            return Refusal.EXPIRED
        if asked.max_uses and self.used[asked.token_id] >= asked.max_uses:
            return Refusal.USED_UP
        return None


TestJoins = Joins.TestCase
TestJoins.settings = settings(max_examples=25, stateful_step_count=20)
