"""What a plan describes is made and noted; what is added later fits in."""

from pathlib import Path

import msgspec
import pytest

from pulse.errors import SystemRefused
from pulse.lab.build import build, extend
from pulse.lab.lab import remove
from pulse.lab.plan import HostPlan, NetworkPlan, Plan
from pulse.lab.state import all_states, create
from tests.namespace import ip_json, require_root

PLAN = Plan({"left": HostPlan(), "gate": HostPlan(router=True), "right": HostPlan()}, (NetworkPlan(("left", "gate")),))
LONGER = msgspec.structs.replace(PLAN, networks=(*PLAN.networks, NetworkPlan(("gate", "right"))))


def test_a_network_made_later_is_as_if_it_had_been_there_from_the_start(tmp_path: Path) -> None:
    require_root()
    state = create(tmp_path)
    try:
        hosts = build(PLAN, state)
        made = extend(LONGER, hosts, state)

        assert [port.host for port in made.ports] == ["gate", "right"]
        assert [port.network for port in hosts["gate"].ports] == [0, 1]
        routes = {route["dst"]: route.get("gateway") for route in ip_json(hosts["left"].namespace, "route")}
        assert routes["198.18.1.0/24"] == "198.18.0.2"
        hosts["left"].run(["ping", "-c1", "-W5", str(hosts["right"].v4.ip)])
    finally:
        remove(state)


def test_a_switch_made_later_is_noted_and_goes_with_the_lab(tmp_path: Path) -> None:
    require_root()
    state = create(tmp_path)
    try:
        hosts = build(PLAN, state)
        plan = msgspec.structs.replace(PLAN, networks=(*PLAN.networks, NetworkPlan(("left", "gate", "right"))))
        extend(plan, hosts, state)

        assert "(switch 1)" in all_states(tmp_path)[0].record.hosts
        hosts["left"].run(["ping", "-c1", "-W5", str(hosts["right"].v4.ip)])
    finally:
        remove(state)
    assert not [name for name in Path("/run/netns").iterdir() if state.record.name in name.name]


def test_what_cannot_be_made_is_refused(tmp_path: Path) -> None:
    require_root()
    state = create(tmp_path)
    try:
        with pytest.raises(SystemRefused, match="could not be built"):
            build(msgspec.structs.replace(PLAN, networks=(NetworkPlan(("left", "gate"), mtu=7),)), state)
    finally:
        remove(state)
