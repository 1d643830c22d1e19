"""Single pieces of a lab: what `ip` refuses is told with its own words."""

import pytest

from pulse.errors import SystemRefused
from pulse.lab import namespaces
from tests.namespace import namespace


def test_a_namespace_that_exists_is_refused() -> None:
    with namespace() as name, pytest.raises(SystemRefused, match="File exists"):
        namespaces.make_namespace(name, router=False)


def test_removing_what_is_gone_is_fine() -> None:
    namespaces.remove_namespace("pulse-test-never-made")

    assert namespaces.processes_in("pulse-test-never-made") == []


def test_a_batch_stops_at_the_first_refusal() -> None:
    with namespace() as name:
        with pytest.raises(SystemRefused, match="Cannot find device"):
            namespaces.batch(name, ["link set nothing up", "link add br0 type bridge"])
        assert "br0" not in namespaces.ip("-n", name, "link")


def test_a_missing_ip_command_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(SystemRefused, match="apt-get install iproute2"):
        namespaces.ip("link")
