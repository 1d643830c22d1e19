"""What the machine around a node is like."""

from pathlib import Path

from tests.examination.conftest import look
from tests.namespace import inside


def test_names_without_an_address_are_told_and_addresses_not_asked_for(data_dir: Path) -> None:
    found = look(data_dir, "nowhere.invalid:443", "192.0.2.1:443", "localhost:443")

    assert [name for name, _ in found.unresolved] == ["nowhere.invalid"]


def test_interfaces_and_routes_are_those_of_the_machine(data_dir: Path, netns: str) -> None:
    with inside(netns):
        found = look(data_dir)

    assert found.mtus == {"eth9": 1200}
    assert "the mesh range 10.100.0.0/16 is in use here" in found.route_conflict
    assert found.dropping == []
