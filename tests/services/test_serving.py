"""Ports that programs have, without a network: who may have which, and how connections reach them."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from pulse.core.messages import ObjectKind
from pulse.core.network import tunnelline
from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.network.patterns import Subject
from pulse.core.network.policy import Rule
from pulse.core.network.streamcodes import StreamCode
from pulse.core.trust.identity import node_bytes
from pulse.core.trust.roles import Roles, sign_roles
from pulse.errors import Conflict, Refused, StreamFailed
from pulse.net.links import Moved
from pulse.services import serving
from pulse.services.serving import ServingService
from tests.authority import MESH, Ca, key
from tests.mint import member, mesh

CA = Ca()
ME, DB, SCRIBE = (member(CA, name, place, host=name) for place, name in ((1, "me"), (2, "db"), (9, "scribe")))


@contextlib.contextmanager
def reserved(port: int) -> Iterator[int]:
    """Any port is free."""
    yield port or 4711


def service(*rules: Rule, allowed: bool = True, names: dict[bytes, str] | None = None) -> ServingService:
    knows = mesh(CA, ME)
    for each in (DB, SCRIBE):
        knows.peer_restored(each, [], 1.0)
    if rules:
        knows.object_made(ObjectKind.ROLES, sign_roles(CA.network, Roles(1, SCRIBE.node_id, 1), CA.key).data, 1.0)
        config = Config(1, 1, Settings(str(MESH)), acl=list(rules), names=names or {})
        knows.object_made(ObjectKind.CONFIG, sign_config(CA.network, config, key("scribe")).data, 1.0)
    return ServingService(knows, allowed, reserved)


@pytest.fixture
def program() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end of a program's connection, and the program's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


Ends = tuple[socket.socket, socket.socket]


@pytest.mark.parametrize("cut", [StreamCode.OK, StreamCode.LOST, StreamCode.CANCELLED, StreamCode.RESET])
def test_a_connection_is_handed_over_with_the_word_of_who_made_it_and_of_its_end(
    program: Ends, cut: StreamCode
) -> None:
    made = service()
    with made.led(0, program[0]) as port:
        handed = made.connect(DB.node_id, port)
        assert handed
        given, tell = handed
        assert made.connect(DB.node_id, port + 1) is None
        line, descriptors, _, _ = socket.recv_fds(program[1], 4096, 2)
        ends = [socket.socket(fileno=each) for each in descriptors]
        with given, ends[0] as theirs, ends[1] as told:
            given.sendall(b"word")
            assert theirs.recv(9) == b"word"
            tell(Moved(4, 0, cut))
            said = told.recv(4096)
    called = tunnelline.read_call(line)
    assert (port, called.node, called.name) == (4711, DB.node_id, "db")
    assert made.connect(DB.node_id, port) is None
    if not cut:
        assert tunnelline.read_answer(said).sent == 4
        return
    with pytest.raises(StreamFailed, match="the connection of db") as raised:
        tunnelline.read_answer(said)
    assert raised.value.word == cut.word


@pytest.mark.parametrize(("asked", "token", "given"), [(None, "db", None), ("db", None, None), ("db", None, "admin")])
def test_a_name_that_was_given_is_told_from_one_that_its_node_asked_for(
    program: Ends, asked: str | None, token: str | None, given: str | None
) -> None:
    caller = member(CA, "caller", 3, name=token, host=asked)
    made = service(Rule("r1", ["*"], ["*"], allow=True), names={node_bytes(caller.node_id): given} if given else {})
    made.mesh.peer_restored(caller, [], 1.0)
    with made.led(8080, program[0]), contextlib.ExitStack() as held:
        handed = made.connect(caller.node_id, 8080)
        assert handed
        handed[1](Moved(0, 0))
        held.enter_context(handed[0])
        line, descriptors, _, _ = socket.recv_fds(program[1], 4096, 2)
        for each in descriptors:
            os.close(each)
    called = tunnelline.read_call(line)
    assert (called.name, called.named) == (given or "db", bool(token or given))


def test_a_program_that_takes_nothing_is_busy_and_one_that_is_gone_refuses(program: Ends) -> None:
    made = service()
    with made.led(8080, program[0]), contextlib.ExitStack() as held:
        with pytest.raises(StreamFailed) as raised:
            _fill(made, held)
        assert raised.value.code == StreamCode.BUSY
        program[1].close()
        with pytest.raises(StreamFailed) as raised:
            made.connect(DB.node_id, 8080)
        assert raised.value.code == StreamCode.REFUSED


def _fill(made: ServingService, held: contextlib.ExitStack) -> None:
    while True:
        handed = made.connect(DB.node_id, 8080)
        assert handed
        held.enter_context(handed[0])
        held.callback(handed[1], Moved(0, 0))


def refusal(made: ServingService, port: int, program: Ends) -> str:
    with pytest.raises((Refused, Conflict)) as raised, made.led(port, program[0]):
        pass
    return str(raised.value)


def test_what_a_program_may_not_have_is_refused_in_words(program: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "serve_programs = true" in refusal(service(allowed=False), 8080, program)
    made = service()
    assert "below 1024" in refusal(made, 1023, program)
    with made.led(8080, program[0]):
        assert "another program has port 8080" in refusal(made, 8080, program)
        monkeypatch.setattr(serving, "MOST", 1)
        assert "all there may be" in refusal(made, 8081, program)


async def test_where_the_rules_let_nobody_in_it_is_said_and_a_window_that_is_shut_now_is_none(program: Ends) -> None:
    await asyncio.sleep(0)
    to_db = Rule("r1", [ME.node_id], [DB.node_id], allow=True)
    said = refusal(service(to_db), 8080, program)
    assert said.startswith("the rules let no node reach me (")
    assert f"pulse acl add --from <node or tag:…> --to {ME.node_id[:12]} --proto tcp --ports 8080" in said
    past = Rule("r2", [DB.node_id], [ME.node_id], allow=True, ports=[(8080, 8080)], expires=1)
    with service(to_db, past).led(8080, program[0]) as port:
        assert port == 8080


@pytest.mark.parametrize(
    ("name", "tags", "proposed"),
    [("db", ("prod",), "db"), (None, ("prod", "x"), "tag:prod"), (None, (), DB.node_id[:12])],
)
def test_a_rule_is_proposed_for_the_one_other_node_by_name_or_tag_or_id(
    name: str | None, tags: tuple[str, ...], proposed: str
) -> None:
    other = Subject(DB.node_id, "10.100.0.2", name, tags)
    assert serving._callers([other]) == proposed
    assert "*" not in serving._callers([other, other])
