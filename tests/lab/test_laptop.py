"""A laptop has one cable at a time, and is seen where it is."""

from collections.abc import Iterator

import pytest

from pulse.errors import NotFound
from pulse.lab.lab import Lab
from pulse.lab.laptop import Laptop
from pulse.lab.topologies import ROAMING
from tests.namespace import ip_json, require_root


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    require_root()
    with Lab(ROAMING) as lab:
        yield lab


def up(laptop: Laptop) -> list[str]:
    """Its interfaces that have a cable."""
    found = ip_json(laptop.host.namespace, "link")
    return [each["ifname"] for each in found if "UP" in each["flags"] and each["ifname"] != "lo"]


def reaches(laptop: Laptop, host: str) -> bool:
    """True if the other host answers a ping."""
    ping = ["ping", "-c1", "-W5", str(laptop.lab[host].v4.ip)]
    return laptop.host.run(ping, check=False).code == 0


def test_it_goes_from_place_to_place_and_takes_other_addresses(lab: Lab) -> None:
    laptop = Laptop.at(lab, "laptop", "home")
    assert (up(laptop), reaches(laptop, "far")) == (["eth0"], True)

    laptop.carry_to("cafe")
    assert (up(laptop), reaches(laptop, "far")) == (["eth1"], True)
    assert lab["far"].run(["ping", "-c1", "-W5", str(laptop.address.ip)]).code == 0

    before = {laptop.address}
    for _ in range(2):
        laptop.renumber()
        assert reaches(laptop, "far")
        before.add(laptop.address)
    assert len(before) == 3

    there = laptop.address
    laptop.carry_to("home")
    assert (up(laptop), reaches(laptop, "hub")) == (["eth0"], True)
    laptop.carry_to("cafe")
    assert (laptop.address, reaches(laptop, "hub")) == (there, True)


@pytest.mark.parametrize("place", ["far", "beach"])
def test_it_cannot_be_where_no_cable_leads(lab: Lab, place: str) -> None:
    with pytest.raises(NotFound, match=f"no cable joins laptop and {place}"):
        Laptop.at(lab, "laptop", place)
