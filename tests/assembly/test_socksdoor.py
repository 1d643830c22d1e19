"""Where the SOCKS proxy listens, and what a person is told when it cannot."""

import socket

import pytest

from pulse.assembly.socksdoor import bound, listener
from pulse.config import NodeConfig
from pulse.errors import Conflict, SystemRefused
from pulse.settings import load
from tests.ports import free_port


def proxying(listen: str) -> NodeConfig:
    """With a SOCKS proxy there; with a login, for it may be no loopback."""
    login = {"PULSE_SOCKS_USER": "ann", "PULSE_SOCKS_PASSWORD": "secret"}
    return load({"socks": True, "socks-listen": listen}, environment=login)


def test_without_the_flag_nobody_listens() -> None:
    with bound(load({}, environment={})) as socks:
        assert socks is None
    with bound(proxying(f"127.0.0.1:{free_port()}")) as socks:
        assert socks is not None


def test_the_proxy_listens_where_it_is_told_to() -> None:
    where = "127.0.0.1", free_port()
    with listener(proxying(f"127.0.0.1:{where[1]}")):
        socket.create_connection(where).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where)


def test_a_port_that_another_program_has_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = proxying(f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Conflict, match=r"another program has that port.\n.*--socks-listen"):
            listener(config)


def test_an_address_that_this_machine_lacks_is_told() -> None:
    """One of documentation."""
    with pytest.raises(SystemRefused, match=r"cannot listen on 192\.0\.2\.1:1080"):
        listener(proxying("192.0.2.1:1080"))
