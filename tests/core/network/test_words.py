"""Words: what people type becomes what rules keep, or a refusal that says what was perhaps meant."""

from dataclasses import replace

import pytest

from pulse.core.network.words import Words
from pulse.core.trust.identity import mesh_prefix
from pulse.core.types import NodeId
from pulse.errors import Conflict, NotFound, Refused
from tests.core.network.drafts import CA, CAM, draft

GROUPS = {"ops": ["web"]}
V6 = mesh_prefix(CA.network)
"""Where the IPv6 addresses of the mesh are."""


def read(*typed: str, ahead: bool = False) -> list[str]:
    return Words(draft(groups=GROUPS), ahead).read(typed)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (["*"], ["*"]),
        (["web", "db", "web"], ["web", "db"]),
        (["tag:front", "tag:prod", "group:ops"], ["tag:front", "tag:prod", "group:ops"]),
        ([CAM], [CAM]),
        ([CAM[:6]], [CAM]),
        ([CAM[:4] + "*"], [CAM]),
        ([CAM[:4].upper() + "*"], [CAM]),
        (["cidr:192.168.7.0/24", "cidr:FE80::/64"], ["cidr:192.168.7.0/24", "cidr:fe80::/64"]),
        (["cidr:10.100.7.0/24", "cidr:10.100.0.0/16"], ["cidr:10.100.7.0/24", "cidr:10.100.0.0/16"]),
        ([f"cidr:{V6}", f"cidr:{V6[1]}/128"], [f"cidr:{V6}", f"cidr:{V6[1]}/128"]),
    ],
)
def test_words_that_mean_something_are_kept_and_digits_become_whole_ids(typed: list[str], kept: list[str]) -> None:
    assert read(*typed) == kept


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("wbe", r'called "wbe"\. Did you mean web\?\nSee the nodes: pulse status'),
        ("front", r'called "front"\. Did you mean tag:front\?'),
        ("ops", r"Did you mean group:ops\?"),
        ("old-db", r'called "old-db"\.'),
        ("cam", rf"only what that machine asked.*\nName it: pulse name {CAM[:12]} cam"),
        ("tag:prdo", r'tag "prdo"\. Did you mean tag:prod\?\nGive it first \(pulse tag <node> prdo\), or say --ahead'),
        ("group:opsx", r"Did you mean group:ops\?\nMake it: pulse groups set opsx"),
        ("0123456789ab*", r'id begins with "0123456789ab"'),
    ],
)
def test_a_word_that_means_nothing_is_refused_with_what_was_perhaps_meant(typed: str, said: str) -> None:
    with pytest.raises(NotFound, match=said):
        read("web", typed)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("WEB!", "is no pattern. Write a name, tag:x"),
        ("web-*", "is no pattern"),
        ("tag:", "is no pattern"),
        ("", "is no pattern"),
        ("x\x1b[2J", r'"x\?\[2J" is no pattern|is no pattern'),
        ("cidr:192.168.7.1/24", r"is no range. Write cidr:192\.168\.7\.0/24"),
        (
            "cidr:0.0.0.0/0",
            r"holds the whole mesh \(10\.100\.0\.0/16\) and more.*\nFor all nodes write \* or cidr:10\.100",
        ),
        ("cidr:2001:db8:20::1%x/128", "is no range"),
        ("cidr:10.100.0.0/15", "could mean either"),
        ("cidr:fd00::/8", rf"holds the whole mesh \({V6}\)"),
    ],
)
def test_what_is_no_pattern_is_refused_with_the_forms_there_are(typed: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        read(typed)


def test_digits_that_begin_several_ids_are_a_conflict_and_a_glob_means_them_all() -> None:
    many = draft()
    ids = tuple(sorted(NodeId("abcd" + each[4:]) for each in many.roll.ids))
    words = Words(replace(many, _roll=[replace(many.roll, ids=ids)]))

    with pytest.raises(Conflict, match=r"begins 3 ids: abcd.*abcd\* for all"):
        words.read(["abcd"])
    assert len(words.read(["abcd*"])) == 3


def test_nobody_is_no_side_of_a_rule_and_too_many_are_none_either() -> None:
    with pytest.raises(Refused, match="somebody on each side"):
        read()
    with pytest.raises(Refused, match=r"300 nodes and patterns; 256 are allowed"):
        read(*(f"tag:t{number}" for number in range(300)), ahead=True)


def test_names_and_tags_of_machines_still_to_join_are_taken_if_that_is_said() -> None:
    assert read("tag:contractor", "laptop-7", ahead=True) == ["tag:contractor", "laptop-7"]
    with pytest.raises(NotFound, match="no group"):
        read("group:gone", ahead=True)


def test_what_means_somebody_is_told_apart_and_what_stood_before_may_stay() -> None:
    words = Words(draft(groups={"ops": ["web"]}))
    known = ("*", "web", "db", "tag:front", "tag:prod", "group:ops", "cidr:192.168.7.0/24", CAM)
    assert all(map(words.is_known, known))
    assert not any(map(words.is_known, ("cam", "old-db", "tag:none", "group:gone", "later:x")))
    assert replace(words, kept=frozenset({"tag:none"})).read(["tag:none"]) == ["tag:none"]
