"""Single pieces of a lab: what `ip` refuses is told with its own words."""

import os
import socket

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


def test_a_socket_opened_inside_stays_there_and_the_thread_comes_back() -> None:
    here = os.readlink("/proc/thread-self/ns/net")
    with namespace() as name:
        with namespaces.inside(name):
            assert os.readlink("/proc/thread-self/ns/net") != here
            listener = socket.create_server(("127.0.0.1", 0))
        assert os.readlink("/proc/thread-self/ns/net") == here
        with listener, pytest.raises(ConnectionRefusedError):
            socket.create_connection(listener.getsockname(), timeout=5)


def test_a_namespace_that_is_not_there_is_not_entered() -> None:
    with pytest.raises(FileNotFoundError), namespaces.inside("pulse-test-never-made"):
        pass


def test_an_interface_has_its_addresses_again_after_its_cable_was_pulled() -> None:
    with namespace() as name:
        namespaces.make_namespace(f"{name}-b", router=False)
        try:
            namespaces.lay_cable(((f"{name}-b", "eth0"), (name, "eth0")), 1500)
            namespaces.batch(f"{name}-b", ["address add fd18::1/64 dev eth0 nodad", "link set eth0 up"])
            namespaces.set_down(f"{name}-b", "eth0")
            namespaces.set_up(f"{name}-b", "eth0")
            assert "fd18::1" in namespaces.ip("-n", f"{name}-b", "address", "show", "eth0")
        finally:
            namespaces.remove_namespace(f"{name}-b")
