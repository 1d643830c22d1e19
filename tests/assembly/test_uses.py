"""Uses: what the settings switch off is not made, and a whole node answers the names of its mesh."""

import asyncio
import socket
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.rcode
import pytest

from pulse.assembly import uses
from pulse.calls.dns import DnsCalls
from pulse.config import Exit, NodeConfig
from pulse.errors import ConfigError, Conflict
from pulse.schemas.dns import RecordRequest
from pulse.services import enrol
from pulse.settings import load
from pulse.store.files import open_data_dir
from tests.authority import MESH
from tests.killpoints.damage import started
from tests.ports import free_port
from tests.test_node import FOUND, Machine, first, place

__all__ = ["first", "place"]

PATIENCE = 30.0


def test_without_dns_nothing_listens() -> None:
    with uses.bound(load({}, environment={"PULSE_DNS_LISTEN": "127.0.0.1:9"})) as doors:
        assert (doors.dns, doors.dns_address, doors.dns_problem) == (None, "", "")


def test_a_port_that_somebody_asked_for_is_an_error_and_the_default_one_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = taken.getsockname()[:2]
        asked = {"PULSE_DNS": "yes", "PULSE_DNS_LISTEN": f"{where[0]}:{where[1]}"}
        with pytest.raises(Conflict, match="--dns-listen"), uses.bound(load({}, environment=asked)):
            pass
        monkeypatch.setattr("pulse.config.DEFAULT_DNS", where)
        with uses.bound(load({}, environment={"PULSE_DNS": "yes"})) as doors:
            assert doors.dns is None
            assert "another program has that port. See which: ss" in doors.dns_problem
    assert [each.message for each in caplog.records] == ["default port not listened on"]


async def asked(port: int, name: str, kind: str = "A") -> dns.message.Message:
    return await dns.asyncquery.udp(dns.message.make_query(name, kind), "127.0.0.1", PATIENCE, port)


async def test_a_node_answers_its_names_and_what_it_announces(first: Machine, place: Path) -> None:
    port = free_port()
    (place / "dns.toml").write_text("[[dns.service]]\nname = 'postgres'\nport = 5432\npriority = 10\n")
    flags = {**FOUND, "scribe": True, "scribe-listen": "off", "dns": True, "dns-listen": f"127.0.0.1:{port}"}
    async with first.runs(**flags) as started:
        assert started.dns == f"127.0.0.1:{port}"
        assert started.node.v4 in (await asked(port, f"{started.node.name}.pulse")).to_text()
        assert (await asked(port, "db.pulse")).rcode() == dns.rcode.NXDOMAIN
        await first.ask(lambda client: DnsCalls(client).add(RecordRequest("db", "CNAME", f"{started.node.name}")))
        async with asyncio.timeout(PATIENCE):
            while started.node.v4 not in (await asked(port, "db.pulse")).to_text():
                await asyncio.sleep(0.05)
    with pytest.raises((ConnectionRefusedError, OSError)):
        socket.create_connection(("127.0.0.1", port)).close()


@pytest.mark.parametrize(
    ("listen", "servers"),
    [
        ("127.0.0.1:5353", ("127.0.0.1:5353",)),
        ("[::1]:53", ("[::1]:53",)),
        (":53", ("127.0.0.1:53", "10.100.7.7:53")),
        ("0.0.0.0:5353", ("127.0.0.1:5353", "10.100.7.7:5353")),
        ("[::]:5353", ("127.0.0.1:5353", "10.100.7.7:5353")),
    ],
)
def test_a_server_on_all_addresses_is_near_and_in_the_mesh(listen: str, servers: tuple[str, ...]) -> None:
    config = load({"dns": True, "dns-listen": listen}, environment={})

    assert uses.name_servers(config, "10.100.7.7") == servers


async def test_a_node_without_a_device_has_routes_to_show_and_uses_none(tmp_path: Path) -> None:
    enrol.found(open_data_dir(tmp_path / "data"), "harmed", MESH, "first")
    async with started(tmp_path / "data") as made:
        assert await made.control.routes.all() == []
        assert made.mesh.prepare(made.mesh.mesh.tables()) == made.mesh.mesh.tables()


async def test_an_exit_without_a_device_is_refused(tmp_path: Path) -> None:
    enrol.found(open_data_dir(tmp_path / "data"), "harmed", MESH, "first")
    config = NodeConfig(exit=Exit(enabled=True, cidrs=("0.0.0.0/0",)))
    async with started(tmp_path / "data") as made:
        with pytest.raises(ConfigError, match="--tun"):
            uses.uses(config, uses.Doors(None), made.mesh, None, None, None)  # type: ignore[arg-type]
