"""Underlay: what the settings switch off is not made."""

from types import SimpleNamespace
from typing import Any

import pytest

from pulse.assembly import underlay
from pulse.settings import load

LINKS: Any = SimpleNamespace(host="", port=8443, listens_tcp=True)
IDENTITY: Any = SimpleNamespace(key=SimpleNamespace(sign=bytes))


def meshing() -> Any:
    mesh = SimpleNamespace(statements=SimpleNamespace(mesh_cidr=lambda: None))
    return SimpleNamespace(mesh=mesh, tell=lambda _: None, send_beacon=None)


def made(environment: dict[str, str]) -> list[str]:
    config = load({}, environment=environment)
    watching = underlay.watchers(config, LINKS, meshing(), tuple)
    mapping = underlay.port_mapping(config, LINKS, IDENTITY, meshing(), tuple)
    return [type(each).__name__ for each in (*watching, mapping) if each is not None]


@pytest.mark.parametrize(
    ("environment", "services"),
    [
        ({}, ["ProbeService", "RoamingService", "BeaconService", "PortmapService"]),
        ({"PULSE_BEACON": "no"}, ["ProbeService", "RoamingService", "PortmapService"]),
        ({"PULSE_PORTMAP": "no"}, ["ProbeService", "RoamingService", "BeaconService"]),
        (
            {"PULSE_BOOTSTRAP_DNS_DOMAIN": "example.com"},
            ["ProbeService", "RoamingService", "BootstrapService", "BeaconService", "PortmapService"],
        ),
    ],
    ids=["usual", "no beacon", "no port mapping", "a domain"],
)
def test_what_is_switched_off_is_not_made(environment: dict[str, str], services: list[str]) -> None:
    assert made(environment) == services
