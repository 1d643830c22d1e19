"""Remote service: operators may what the target allows, nobody else may anything, and both ends keep what was asked."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pulse import remote
from pulse.config import Node, NodeConfig, Remote
from pulse.core.events import Event
from pulse.core.messages import MethodName
from pulse.core.types import NodeId
from pulse.errors import ConfigError, Refused
from pulse.schemas.operating import Reloaded, RemoteSettings, RestartRequest
from pulse.services.remote import RemoteService
from pulse.settings import load
from tests.authority import Ca
from tests.mint import link_up, member, mesh

CA = Ca()
ME, ALICE = (member(CA, name, place, host=name) for place, name in enumerate(("me", "alice"), 1))
FILE = '[node]\nlog_level = "info"\n[remote]\nrestart = {restart}\nconfig = {config}\n'


@dataclass
class End:
    """One node: `operators` are those its roles name."""

    data_dir: Path
    operators: frozenset[NodeId] = frozenset()
    restart: str = "true"
    config: str = '["node.log_level", "tun.queues"]'
    events: list[Event] = field(default_factory=list)
    restarts: int = 0
    answers: "End | None" = None

    def __post_init__(self) -> None:
        self.data_dir.mkdir(mode=0o700)
        (self.data_dir / "config.toml").write_text(FILE.format(restart=self.restart, config=self.config))
        world = mesh(CA, ME)
        world.happened(link_up(ALICE.node_id, 1, certificate=ALICE.der), 1.0)
        self.reloads = Reloads(self.data_dir)
        self.service = RemoteService(world, self.call, self.reloads, self.events.append, self.restarted)
        roles = world.statements.roles
        world.statements._roles = None if not self.operators else Held(roles, self.operators)  # type: ignore[assignment]

    def restarted(self) -> None:
        self.restarts += 1

    async def call(self, node: NodeId, method: str, body: bytes, timeout: float) -> bytes:
        assert self.answers is not None
        target = self.answers.service
        return await (target.answer_restart if method == MethodName.RESTART else target.answer_settings)(
            ALICE.node_id, body
        )


class Held:
    """Roles in force, with these operators."""

    def __init__(self, roles: object, operators: frozenset[NodeId]) -> None:
        from dataclasses import replace

        self.roles = replace(roles, operators=operators)  # type: ignore[type-var]


class Reloads:
    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.config = self.reread()

    def reread(self) -> NodeConfig:
        return load({"data-dir": str(self.data_dir)}, environment={})

    async def reload(self) -> Reloaded:
        self.config = self.reread()
        return Reloaded(["node.log_level"], [])


@pytest.fixture
def target(tmp_path: Path) -> End:
    return End(tmp_path / "target", frozenset({ALICE.node_id}))


@pytest.fixture
def caller(tmp_path: Path, target: End) -> End:
    return End(tmp_path / "caller", answers=target)


def told(end: End) -> list[tuple[str, object]]:
    return [(str(each.fields.get("asked") or each.fields.get("wanted")), each.fields["outcome"]) for each in end.events]


async def test_an_operator_changes_what_the_target_allows(caller: End, target: End) -> None:
    came = await caller.service.configure(RemoteSettings("alice", {"node.log_level": "debug"}))

    assert came.changed == ["node.log_level"]
    assert target.reloads.config.node.log_level == "debug"
    assert told(caller) == told(target) == [("node.log_level=debug", "done")]


async def test_an_operator_restarts_a_node_that_allows_it(caller: End, target: End) -> None:
    assert (await caller.service.restart(RestartRequest("alice"))).name == "alice"

    assert target.restarts == 0, "the answer gets away first"
    async with asyncio.timeout(30):
        while not target.restarts:
            await asyncio.sleep(0.01)
    assert told(caller) == told(target) == [("restart", "done")]


@pytest.mark.parametrize("settings", [{"node.log_format": "json"}, {"node.log_level": "debug", "ca.enabled": "true"}])
async def test_a_key_that_is_not_allowed_changes_nothing(caller: End, target: End, settings: dict[str, str]) -> None:
    with pytest.raises(Refused, match="lets nobody change"):
        await caller.service.configure(RemoteSettings("alice", settings))

    assert not remote.place(target.data_dir).exists()
    assert told(caller)[0][1] != "done"
    assert target.events == []


async def test_a_value_that_is_wrong_leaves_the_file_as_it_was(caller: End, target: End) -> None:
    await caller.service.configure(RemoteSettings("alice", {"node.log_level": "debug"}))
    before = remote.place(target.data_dir).read_bytes()

    with pytest.raises(ConfigError, match=r"tun\.queues"):
        await caller.service.configure(RemoteSettings("alice", {"tun.queues": "99"}))
    assert remote.place(target.data_dir).read_bytes() == before
    assert target.reloads.config.node.log_level == "debug"


async def test_whatever_settings_run_into_leaves_the_file_as_it_was(
    caller: End, target: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unforeseen() -> NodeConfig:
        raise ValueError("embedded null byte")

    monkeypatch.setattr(target.reloads, "reread", unforeseen)
    with pytest.raises(ValueError, match="null"):
        await caller.service.configure(RemoteSettings("alice", {"node.log_level": "debug"}))
    assert remote.place(target.data_dir).read_bytes() == b""


async def test_without_the_role_nothing_is_done(tmp_path: Path) -> None:
    target = End(tmp_path / "target")
    for answer in (
        target.service.answer_restart(ALICE.node_id, b""),
        target.service.answer_settings(ALICE.node_id, b""),
    ):
        with pytest.raises(Refused, match="is no operator"):
            await answer
    assert target.events == []


async def test_without_the_opt_in_an_operator_is_refused(tmp_path: Path) -> None:
    target = End(tmp_path / "target", frozenset({ALICE.node_id}), restart="false", config="[]")
    caller = End(tmp_path / "caller", answers=target)

    with pytest.raises(Refused, match=r"\[remote\] restart = true"):
        await caller.service.restart(RestartRequest("alice"))
    with pytest.raises(Refused, match=r"\[remote\] config ="):
        await caller.service.configure(RemoteSettings("alice", {"node.log_level": "debug"}))


async def test_settings_that_would_not_start_again_forbid_a_restart(caller: End, target: End) -> None:
    (target.data_dir / "config.toml").write_text("[nod]\n")

    with pytest.raises(ConfigError, match="unknown section"):
        await caller.service.restart(RestartRequest("alice"))
    with pytest.raises(ConfigError, match="unknown section"):
        await target.service.restart(RestartRequest())
    assert target.restarts == 0


async def test_this_node_is_configured_by_its_file(caller: End) -> None:
    with pytest.raises(Refused, match="change its file"):
        await caller.service.configure(RemoteSettings("me", {"node.log_level": "debug"}))


def test_the_settings_of_a_node_allow_nothing_by_themselves() -> None:
    assert NodeConfig(Node(data_dir="/d")).remote == Remote(restart=False, config=())
