"""What can be asked of a node about rules, tests and groups; `pulse.client` is the connection."""

from dataclasses import dataclass

from pulse.client import SCRIBE_PATIENCE, Client
from pulse.schemas.policy import (
    AssertionRef,
    AssertionRequest,
    FlowRequest,
    FlowVerdict,
    GroupRef,
    GroupRequest,
    Hits,
    HitsQuery,
    Policy,
    PolicyChange,
    RuleFile,
    RuleMove,
    RuleRef,
    RuleRequest,
)
from pulse.schemas.structs import Body


@dataclass(frozen=True, slots=True)
class AclCalls:
    """The policy, as the node sees it."""

    client: Client

    def policy(self) -> Policy:
        """Rules, tests and groups in force."""
        return self.client.get("/api/acls", Policy)

    def add_rule(self, request: RuleRequest) -> PolicyChange:
        """Add a rule."""
        return self._change("POST", "/api/acls", request)

    def remove_rule(self, request: RuleRef) -> PolicyChange:
        """Take a rule away."""
        return self._change("DELETE", "/api/acls", request)

    def move_rule(self, request: RuleMove) -> PolicyChange:
        """Put a rule elsewhere."""
        return self._change("POST", "/api/acls/move", request)

    def explain(self, request: FlowRequest) -> FlowVerdict:
        """Whether a flow is allowed, and why."""
        return self.client.call("POST", "/api/acls/explain", FlowVerdict, request)

    def diff_rules(self, request: RuleFile) -> PolicyChange:
        """What would come of these rules in place of those in force."""
        return self._change("POST", "/api/acls/diff", request)

    def add_test(self, request: AssertionRequest) -> PolicyChange:
        """State what rules must always let pass, or never."""
        return self._change("POST", "/api/acls/test", request)

    def remove_test(self, request: AssertionRef) -> PolicyChange:
        """State it no more."""
        return self._change("DELETE", "/api/acls/test", request)

    def set_group(self, request: GroupRequest) -> PolicyChange:
        """Say who is in a group."""
        return self._change("PUT", "/api/groups", request)

    def remove_group(self, request: GroupRef) -> PolicyChange:
        """Take a group away."""
        return self._change("DELETE", "/api/groups", request)

    def hits(self, wanted: HitsQuery) -> Hits:
        """Flows by rule: of all nodes, or of this one."""
        return self.client.get(f"/api/acls/hits?here={str(wanted.here).lower()}", Hits)

    def _change(self, method: str, path: str, body: Body) -> PolicyChange:
        """An edit: the scribe has time to answer, and its config to come back here."""
        return self.client.call(method, path, PolicyChange, body, patience=SCRIBE_PATIENCE)
