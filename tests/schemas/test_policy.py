"""Schemas of rules: how a rule may be written, and that an answer of a later release is read."""

import msgspec
import pytest

from pulse.schemas.policy import FlowRequest, RuleFile, RuleRequest, RuleText
from tests.api.fake_acls import HOLDS, SQL, VERDICT


@pytest.mark.parametrize("ports", [["22", "8000-8100"], [22], []])
def test_ports_are_words_or_numbers(ports: list[object]) -> None:
    rule = msgspec.convert({"from": "web", "to": ["db"], "ports": ports}, RuleText)

    assert (rule.source, rule.destination, rule.ports, rule.action) == ("web", ["db"], ports, "allow")


@pytest.mark.parametrize("kind", [RuleRequest, RuleText, FlowRequest, RuleFile])
def test_a_question_with_an_unknown_field_is_an_error(kind: type) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"from": "a", "to": "b", "source": "a", "destination": "b", "color": "red"}, kind)


@pytest.mark.parametrize("said", [SQL, HOLDS, VERDICT])
def test_an_answer_of_a_later_release_says_more_and_is_read(said: msgspec.Struct) -> None:
    told = msgspec.json.decode(msgspec.json.encode(said), type=dict[str, object])

    assert msgspec.convert(told | {"later": 1}, type(said)) == said
