"""Ports that programs have, without a network: who may have which, and how connections reach them."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from pulse.core.messages import ObjectKind
from pulse.core.network import tunnelline
from pulse.core.network.netconfig import Config, Settings, sign_config
from pulse.core.network.policy import Rule
from pulse.core.network.streamcodes import StreamCode
from pulse.core.trust.roles import Roles, sign_roles
from pulse.errors import Conflict, Refused, StreamFailed
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


def service(*rules: Rule, allowed: bool = True) -> ServingService:
    knows = mesh(CA, ME)
    for each in (DB, SCRIBE):
        knows.peer_restored(each, [], 1.0)
    if rules:
        knows.object_made(ObjectKind.ROLES, sign_roles(CA.network, Roles(1, SCRIBE.node_id, 1), CA.key).data, 1.0)
        config = Config(1, 1, Settings(str(MESH)), acl=list(rules))
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


def test_a_connection_is_handed_over_with_the_word_of_who_made_it(program: Ends) -> None:
    made = service()
    with made.led(0, program[0]) as port:
        given = made.connect(DB.node_id, port)
        assert given
        assert made.connect(DB.node_id, port + 1) is None
        line, descriptors, _, _ = socket.recv_fds(program[1], 4096, 1)
        with given, socket.socket(fileno=descriptors[0]) as theirs:
            given.sendall(b"word")
            assert theirs.recv(9) == b"word"
    called = tunnelline.read_call(line)
    assert (port, called.node, called.name) == (4711, DB.node_id, "db")
    assert made.connect(DB.node_id, port) is None


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
        given = made.connect(DB.node_id, 8080)
        assert given
        held.enter_context(given)


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
    assert "pulse acl add" in said
    past = Rule("r2", [DB.node_id], [ME.node_id], allow=True, ports=[(8080, 8080)], expires=1)
    with service(to_db, past).led(8080, program[0]) as port:
        assert port == 8080
