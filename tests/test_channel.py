"""A node elsewhere: found by its URL, asked with a key, followed as things happen; and what is none."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse.calls.events import EventCalls
from pulse.calls.names import NameCalls
from pulse.channel import Channel, Remote, remote
from pulse.client import API_KEY, API_URL, Client, connect
from pulse.errors import ConfigError, LinkError, NotFound, Refused
from tests.api.doors import Doors, doors
from tests.api.test_stream import KEY, Told, following


@pytest.fixture
def node() -> Iterator[Doors]:
    with tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp") as name, doors(Path(name)) as found:
        yield found


def variables(node: Doors, role: str) -> dict[str, str]:
    return {API_URL: f"http://127.0.0.1:{node.address[1]}", API_KEY: node.keys[role]}


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("http://10.100.41.7", Remote("10.100.41.7", 8080, False, "k")),
        ("https://pulse.example.com/", Remote("pulse.example.com", 443, True, "k")),
        ("http://[fd7a::1]:81", Remote("fd7a::1", 81, False, "k")),
    ],
)
def test_a_url_says_where_and_how(url: str, read: Remote) -> None:
    assert remote(url, "k") == read


@pytest.mark.parametrize(
    "url", ["", "10.100.41.7:8080", "ftp://a", "http://", "http://a:b:c", "http://u@a", "http://a/x", "http://a?x=1"]
)
def test_what_is_no_url_of_a_node_is_refused_with_one_that_is(url: str) -> None:
    with pytest.raises(ConfigError, match="is no URL of a node"):
        remote(url, "k")


@pytest.mark.parametrize("key", ["", "a b", "a\r\nX: y", "\N{BULLET}"])
def test_without_a_key_it_says_how_one_is_made_and_shows_none(key: str) -> None:
    with pytest.raises(ConfigError, match="pulse api-key create") as refused:
        remote("http://a", key)
    assert not key or key not in str(refused.value)


def test_a_key_is_not_shown_with_its_place() -> None:
    place = Remote("fd7a::1", 81, False, "plk_secret")
    assert (str(place), "plk_secret" in repr(place)) == ("http://[fd7a::1]:81", False)


def test_variables_lead_to_a_node_elsewhere_and_a_data_directory_back(node: Doors) -> None:
    with connect(None, variables(node, "read")) as client:
        assert (client.status().well, client.mesh().network_id, client.pid) == (True, "mynet", 0)
    with connect(node.socket.parent, variables(node, "nobody")) as client:
        assert client.path == node.socket


@pytest.mark.parametrize("role", ["wrong", "revoked"])
def test_a_key_that_is_good_for_nothing_is_refused(node: Doors, role: str) -> None:
    with connect(None, variables(node, role)) as client, pytest.raises(Refused, match="takes a key"):
        client.status()


def test_a_key_that_reads_changes_nothing(node: Doors) -> None:
    with connect(None, variables(node, "read")) as client, pytest.raises(Refused, match="good for read alone"):
        NameCalls(client).add_tag("relay-01", "prod")
    with connect(None, variables(node, "write")) as client:
        assert NameCalls(client).add_tag("relay-01", "prod").tags == ["edge", "prod"]
        with pytest.raises(NotFound, match="no POST /api/stop here"):
            client.stop()


def test_nobody_there_is_told_with_the_address() -> None:
    with pytest.raises(LinkError, match=r"no node answers at http://127\.0\.0\.1:1:"):
        Client(Remote("127.0.0.1", 1, False, "k"))


def test_who_asks_from_another_machine_is_told_what_keeps_an_api_from_answering() -> None:
    with pytest.raises(LinkError, match=r"--scribe-listen 0\.0\.0\.0:1; and the rules have to let tcp 1 pass"):
        Client(Remote("0.0.0.0", 1, False, "k"))  # noqa: S104 (asked, not listened on)


def test_events_are_followed_as_they_happen_and_pauses_are_told() -> None:
    with following(Told(pace=0.3, most=2)) as (host, port), Client(Remote(host, port, False, KEY)) as client:
        told = [*EventCalls(client).follow_events(0.1)]

    assert [each.seq for each in told if each] == [1, 2]
    assert None in told


def test_following_with_a_wrong_key_ends_without_a_word() -> None:
    with following(Told()) as (host, port):
        channel = Channel(Remote(host, port, False, "plk_no"))
        assert [*channel.follow("/api/events", 0.1)] == []
        channel.socket.close()
