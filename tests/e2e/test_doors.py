"""The ways into a network: those that open, and those that stay shut, each saying why and leaving no trace of a member.

Each test leaves the pair as it was: whoever comes has a data directory of its own, and none starts.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from pulse.errors import Conflict, LinkError, PulseError, Refused
from pulse.lab.host import Output, wait_until
from pulse.lab.lab import Lab
from pulse.schemas.start import Joined
from pulse.schemas.tokens import TokenInfo
from tests.e2e.mesh import PATIENCE, Node, Pair

HARMLESS = {"lock", "join.key", "pulse.log"}
DEAF_PORT = 9


def arrives(node: Node, directory: Path) -> Node:
    """A newcomer on the same host, with files of its own."""
    directory.mkdir(exist_ok=True)
    return Node(replace(node.host, directory=directory))


@pytest.fixture
def newcomer(pair: Pair, tmp_path: Path) -> Node:
    """A machine that is in no network yet."""
    return arrives(pair.member, tmp_path / "newcomer")


def files_of(node: Node) -> set[str]:
    """What there is in its data directory."""
    return {path.name for path in node.host.data.rglob("*")}


def is_refused(tried: Output, error: type[PulseError], words: str) -> bool:
    """True if a command ended as that error does and said so, without a traceback."""
    return tried.code == error.exit_code and words in tried.stderr and "Traceback" not in tried.stderr


def altered(text: str, place: int) -> str:
    """The same with another character at one place."""
    return text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]


def expired(pair: Pair) -> str:
    """A token whose time is over."""
    token = pair.ca.token("--ttl", "1s")
    wait_until(lambda: newest_token(pair).state == "expired", "the token expires", PATIENCE)
    return token


def revoked(pair: Pair) -> str:
    """A token that was taken back."""
    token = pair.ca.token()
    pair.ca.host.pulse("token", "revoke", newest_token(pair).id)
    return token


def newest_token(pair: Pair) -> TokenInfo:
    """The token made last."""
    listed = pair.ca.host.pulse("token", "list", "--json").stdout
    return max(msgspec.json.decode(listed, type=list[TokenInfo]), key=lambda token: token.created)


def invite(pair: Pair) -> str:
    """An invite for one machine."""
    return pair.ca.host.pulse("invite").stdout.split()[-1]


@dataclass(frozen=True, slots=True)
class Shut:
    """A door that does not open: how to knock, and what is said."""

    knock: Callable[[Pair], list[str]]
    words: str
    error: type[PulseError] = Refused


SHUT = {
    "wrong token": Shut(lambda pair: with_token(pair, altered(pair.ca.token(), 5)), "token unknown or wrong"),
    "wrong token of no CA": Shut(lambda pair: with_token(pair, "correct-horse-battery-staple-42x"), "token unknown"),
    "expired": Shut(lambda pair: with_token(pair, expired(pair)), "this token has expired (the CA's clock says"),
    "revoked": Shut(lambda pair: with_token(pair, revoked(pair)), "this token was revoked"),
    "too short": Shut(lambda pair: with_token(pair, "sesame"), "too short to be safe (6 characters, 32 needed)"),
    "too easy": Shut(lambda pair: with_token(pair, "ab" * 20), "too easy to guess (2 different characters, 10 needed)"),
    "cut short": Shut(lambda pair: with_token(pair, pair.ca.token()[:-1]), "this token is cut short"),
    "other network": Shut(
        lambda pair: [*with_token(pair, pair.ca.token()), "--network", "other"], "this is network test, not other"
    ),
    "invite to another network": Shut(
        lambda pair: [invite(pair), "--network", "other"], "the invite is for network test, not other"
    ),
    "mistyped invite": Shut(lambda pair: [altered(invite(pair), 30)], "this invite is mistyped"),
    "invite cut short": Shut(lambda pair: [invite(pair)[:-9]], "this invite is cut short"),
    "nobody there": Shut(
        lambda pair: [f"{pair.ca.host.v4.ip}:{DEAF_PORT}", "--token", pair.ca.token()],
        "Is the node up, and can UDP reach it?",
        LinkError,
    ),
}


def with_token(pair: Pair, token: str) -> list[str]:
    """Join by way of the CA."""
    return [pair.ca.underlay, "--token", token]


@pytest.mark.parametrize("door", SHUT.values(), ids=SHUT.keys())
@pytest.mark.parametrize("command", ["join", "start"])
def test_a_join_that_is_refused_says_why_and_leaves_no_identity(
    pair: Pair, newcomer: Node, command: str, door: Shut
) -> None:
    tried = newcomer.tries(command, *door.knock(pair), *([] if command == "join" else ["--listen", ":9443"]))

    assert is_refused(tried, door.error, door.words), tried
    assert files_of(newcomer) <= HARMLESS


def test_a_single_use_token_lets_one_machine_in(pair: Pair, newcomer: Node, tmp_path: Path) -> None:
    token = pair.ca.token("--max-uses", "1")
    newcomer.join(pair.ca, token)
    second = arrives(pair.member, tmp_path / "second")

    tried = second.tries("join", *with_token(pair, token))

    assert is_refused(tried, Refused, "this token is used up"), tried
    assert files_of(second) <= HARMLESS


def test_who_was_refused_comes_in_with_a_good_token(pair: Pair, newcomer: Node) -> None:
    assert newcomer.tries("join", *with_token(pair, altered(pair.ca.token(), 5))).code == Refused.exit_code

    newcomer.join(pair.ca, pair.ca.token())

    assert "identity" in files_of(newcomer)
    assert "join.key" not in files_of(newcomer)


@pytest.mark.parametrize("by", ["ca", "member"])
@pytest.mark.parametrize("order", ["relay first", "token first"])
def test_a_join_takes_relay_and_token_in_both_orders(pair: Pair, newcomer: Node, order: str, by: str) -> None:
    relay: Node = getattr(pair, by)
    token = pair.ca.token("--max-uses", "1")
    words = [relay.underlay, "--token", token] if order == "relay first" else ["--token", token, relay.underlay]

    assert newcomer.tries("join", *words).code == 0
    assert "identity" in files_of(newcomer)


def test_an_invite_is_all_it_takes(pair: Pair, newcomer: Node) -> None:
    joined = msgspec.json.decode(newcomer.host.pulse("join", invite(pair), "--json").stdout, type=Joined)

    assert joined.pinned
    assert joined.node.ca_hash == pair.ca.status().node.ca_hash


def test_an_invite_opens_once(pair: Pair, newcomer: Node, tmp_path: Path) -> None:
    held = invite(pair)
    newcomer.host.pulse("join", held)

    assert is_refused(arrives(pair.member, tmp_path / "second").tries("join", held), Refused, "this token is used up")


def test_who_comes_while_the_ca_is_silent_hears_that_and_comes_in_by_the_same_command(
    pair: Pair, newcomer: Node
) -> None:
    words = ["join", pair.member.underlay, "--token", pair.ca.token("--max-uses", "1")]
    os.kill(pair.ca.pid, signal.SIGSTOP)
    try:
        tried = newcomer.tries(*words)
    finally:
        os.kill(pair.ca.pid, signal.SIGCONT)

    assert is_refused(tried, LinkError, "the node that was asked cannot reach the CA now"), tried
    assert files_of(newcomer) <= HARMLESS
    pair.member.wait_linked(pair.ca)
    wait_until(lambda: newcomer.tries(*words).code == 0, "the newcomer joins", PATIENCE)


def test_a_member_does_not_join_again(pair: Pair, newcomer: Node) -> None:
    newcomer.join(pair.ca, pair.ca.token())

    tried = newcomer.tries("join", *with_token(pair, pair.ca.token()))

    assert is_refused(tried, Conflict, "this machine is a member of test already"), tried


def test_a_token_is_not_shown_to_the_node_of_another_ca(lab: Lab, tmp_path: Path) -> None:
    ours, theirs = Node(lab["a"]), Node(lab["b"])
    ours.start("--ca", "--network", "test")
    theirs.start("--ca", "--network", "test")
    newcomer = arrives(ours, tmp_path / "newcomer")

    tried = newcomer.tries("join", theirs.underlay, "--token", ours.token())

    assert is_refused(tried, Refused, "Nothing was sent to it"), tried
    assert files_of(newcomer) <= HARMLESS
