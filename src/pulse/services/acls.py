"""Who may reach whom: tells the rules in force, makes edits of them, and says beforehand what comes of each.

Invariant: what is told of an edit was worked out on the very config it is made for, or it is not made.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from pulse import clock
from pulse.core.mesh import Mesh
from pulse.core.network.assertions import Breach, breaches, describe_assertion
from pulse.core.network.consequences import Through, difference
from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edit, Edits, edited
from pulse.core.network.explain import called
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.policy import Rule
from pulse.core.network.ruletext import describe
from pulse.core.network.ruling import (
    AssertionAdded,
    AssertionRemoved,
    GroupRemoved,
    GroupSet,
    RuleMoved,
    RuleRemoved,
)
from pulse.core.network.words import subjects
from pulse.core.trust.identity import node_bytes
from pulse.core.types import NodeId
from pulse.errors import Conflict, NotFound, PulseError, Refused
from pulse.policyschemas import (
    AssertionRef,
    AssertionRequest,
    AssertionView,
    Connection,
    FlowRequest,
    FlowVerdict,
    GroupRef,
    GroupRequest,
    GroupView,
    Judged,
    PairChange,
    Policy,
    PolicyChange,
    RuleFile,
    RuleMove,
    RuleRef,
    RuleRequest,
    RuleView,
)
