"""`/api/acls` and `/api/groups`: who may reach whom, explained on every node and edited by scribe and operators."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.policy import (
    AssertionRef,
    AssertionRequest,
    FlowRequest,
    FlowVerdict,
    GroupRef,
    GroupRequest,
    Policy,
    PolicyChange,
    RuleFile,
    RuleMove,
    RuleRef,
    RuleRequest,
)


async def policy(control: Control, _: Request) -> Policy:
    """Rules, tests and groups in force."""
    return await control.acls.policy()


async def add_rule(control: Control, _: Request, body: RuleRequest) -> PolicyChange:
    """Add a rule; the first one closes the network to all it does not allow."""
    return await control.acls.add(body)


async def remove_rule(control: Control, _: Request, body: RuleRef) -> PolicyChange:
    """Take a rule away."""
    return await control.acls.remove(body)


async def move_rule(control: Control, _: Request, body: RuleMove) -> PolicyChange:
    """Put a rule elsewhere."""
    return await control.acls.move(body)


async def explain(control: Control, _: Request, body: FlowRequest) -> FlowVerdict:
    """Whether a flow is allowed, by which rule, or what comes nearest to allowing it."""
    return await control.acls.explain(body)


async def diff_rules(control: Control, _: Request, body: RuleFile) -> PolicyChange:
    """What would come of these rules in place of those in force."""
    return await control.acls.diff(body)


async def add_test(control: Control, _: Request, body: AssertionRequest) -> PolicyChange:
    """State what rules must always let pass, or never: no edit may break it."""
    return await control.acls.add_test(body)


async def remove_test(control: Control, _: Request, body: AssertionRef) -> PolicyChange:
    """State it no more."""
    return await control.acls.remove_test(body)


async def set_group(control: Control, _: Request, body: GroupRequest) -> PolicyChange:
    """Say who is in a group, all of them."""
    return await control.acls.set_group(body)


async def remove_group(control: Control, _: Request, body: GroupRef) -> PolicyChange:
    """Take a group away, if nothing uses it."""
    return await control.acls.remove_group(body)


ENDPOINTS = (
    Endpoint("GET", "/api/acls", policy, Scope.READ),
    Endpoint("POST", "/api/acls", add_rule, Scope.WRITE),
    Endpoint("DELETE", "/api/acls", remove_rule, Scope.WRITE),
    Endpoint("POST", "/api/acls/move", move_rule, Scope.WRITE),
    Endpoint("POST", "/api/acls/explain", explain, Scope.READ),
    Endpoint("POST", "/api/acls/diff", diff_rules, Scope.READ),
    Endpoint("POST", "/api/acls/test", add_test, Scope.WRITE),
    Endpoint("DELETE", "/api/acls/test", remove_test, Scope.WRITE),
    Endpoint("PUT", "/api/groups", set_group, Scope.WRITE),
    Endpoint("DELETE", "/api/groups", remove_group, Scope.WRITE),
)
