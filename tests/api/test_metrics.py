"""The text format of Prometheus, read by its own parser; and who may see it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pulse.api.metrics import KIND, exposition
from pulse.schemas.stats import Family
from tests.api.doors import Doors, doors
from tests.api.fake_stats import DB, EVIL
from tests.api.fake_ways import ID


@pytest.fixture(scope="module")
def node() -> Iterator[Doors]:
    with tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp") as name, doors(Path(name)) as found:
        yield found


def read(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_prometheus_reads_it_whatever_a_name_has_in_it(node: Doors) -> None:
    status, headers, text = node.ask("local", "GET /metrics HTTP/1.1")
    assert (status, headers["content-type"]) == (200, KIND)
    found = read(text)

    latency = found["pulse_peer_latency_ms"]
    assert (latency.type, latency.documentation) == ("gauge", "Round trip, in\nmilliseconds \\ 1000.")
    values = {(each.labels["node_id"], each.labels["name"]): each.value for each in latency.samples}
    assert values == {(DB, EVIL): 22.8, (ID, "relay-01"): 0.0}
    assert [each.value for each in found["pulse_drops"].samples] == [2**53 - 1]
    assert "pulse_never" not in text
    assert text.endswith("\n")


def test_it_takes_a_key_that_reads_and_the_control_socket_none(node: Doors) -> None:
    answers = {role: node.ask(role, "GET /metrics HTTP/1.1")[0] for role in ("local", *node.keys)}

    assert answers == {"local": 200, "read": 200, "write": 200, "revoked": 401, "nobody": 401, "wrong": 401}


@pytest.mark.parametrize(
    ("head", "status"),
    [("GET /metrics/ HTTP/1.1", 404), ("POST /metrics HTTP/1.1", 405), ("GET /metrics?x=1 HTTP/1.1", 400)],
)
def test_another_path_another_method_and_a_question_are_refused(node: Doors, head: str, status: int) -> None:
    assert node.ask("read", head)[0] == status
    assert node.ask("nobody", head)[0] == 401


def test_a_web_page_does_not_read_it(node: Doors) -> None:
    assert node.ask("read", "GET /metrics HTTP/1.1\nOrigin: http://evil.example")[0] == 403


@given(st.dictionaries(st.tuples(st.text(), st.text()), st.floats(allow_nan=False), max_size=5), st.text())
def test_whatever_labels_say_comes_back(samples: dict[tuple[str, ...], float], told: str) -> None:
    text = exposition({Family("pulse_x", "gauge", told, ("one", "two")): samples})
    assert text.count("\n") == (len(samples) + 2 if samples else 0)

    found = [each for family in text_string_to_metric_families(text) for each in family.samples]
    assert {(each.labels["one"], each.labels["two"]): each.value for each in found} == samples
