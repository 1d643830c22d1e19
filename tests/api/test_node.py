"""The node's own resources through the real client."""

from pathlib import Path

import pytest

from pulse.client import Client
from pulse.errors import ConfigError, LinkError, PulseError
from tests.api.fake_control import IDENTITY, FakeControl
from tests.api.http import say


def test_status_id_and_certificate_arrive_whole(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        status = client.status()
        assert status.node == client.identity() == IDENTITY
        assert status.peers == control.node.peers
        assert client.certificate().pinned
        assert [each.outlook for each in client.certificates()] == ["ended", "late", "good"]


def test_ping_reaches_the_node_with_its_timeout(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert client.ping("db-server", 1.5).rtt == 0.0228

    assert [(each.node, each.timeout) for each in control.asked] == [("db-server", 1.5)]  # type: ignore[attr-defined]


def test_a_silent_node_is_the_same_error_on_both_sides(place: Path, control: FakeControl) -> None:
    with Client(place) as client, pytest.raises(LinkError, match=r"^cam-7 did not answer within 1 s$"):
        client.ping("cam-7")


def test_an_impossible_timeout_is_refused(place: Path, control: FakeControl) -> None:
    with Client(place) as client, pytest.raises(ConfigError, match="timeout"):
        client.ping("db-server", -1)


def test_a_fault_of_the_node_is_no_fault_of_the_client(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        with pytest.raises(PulseError, match="its log has the details"):
            client.ping("bug")
        assert client.status().well


def test_stop_is_answered_before_the_node_goes(place: Path, control: FakeControl) -> None:
    with Client(place) as client:
        assert client.stop().pid == 4711

    assert control.node.stopped.is_set()


def test_the_status_tells_what_the_reference_tells(place: Path, control: FakeControl) -> None:
    _, _, body = say(place, "GET /api/status HTTP/1.1")

    wanted = {"peers", "stats", "revoked_ids", "node_meta", "acl_rules", "scribe_id", "network_id", "mesh_cidr"}
    assert wanted <= set(body)


def test_the_nodes_are_the_peers_of_the_status(place: Path, control: FakeControl) -> None:
    assert say(place, "GET /api/nodes HTTP/1.1")[2] == say(place, "GET /api/status HTTP/1.1")[2]["peers"]
