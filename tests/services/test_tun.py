"""TUN service: the device has our addresses and the mesh's range, or `problem` says why not."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from pulse.errors import Conflict, SystemRefused
from pulse.net import interfaces, sysctl
from pulse.net.netlink import HostRoute, NoInterface
from pulse.services import tun
from pulse.services.tun import GSO_MAX, MTU, TunService
from tests.authority import MESH, Ca
from tests.fakes import FakeLinks
from tests.mint import member
from tests.namespace import inside, ip, ip_json, namespace

ME = member(Ca(), "me", 7)
OFF = "net/ipv6/conf/pulse0/disable_ipv6"
WIDER = IPv4Network("10.96.0.0/12")


class Kernel:
    """Stands in for rtnetlink: what was asked of it, and the routes this host has."""

    def __init__(self) -> None:
        self.links: list[tuple[str, dict[str, Any]]] = []
        self.addresses: list[IPv4Interface | IPv6Interface] = []
        self.routes: list[HostRoute] = []
        self.refusal: SystemRefused | None = None

    def __call__(self) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    def set_link(self, name: str, **settings: object) -> None:
        """Remember it, or refuse once."""
        if self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            raise refusal
        self.links.append((name, settings))

    def add_address(self, name: str, address: IPv4Interface | IPv6Interface) -> None:
        """Remember it."""
        assert name == "pulse0"
        self.addresses.append(address)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for /proc/sys."""
    (tmp_path / OFF).parent.mkdir(parents=True)
    (tmp_path / OFF).write_text("0")
    monkeypatch.setattr(sysctl, "_ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def kernel(settings: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(tun, "Netlink", kernel)
    monkeypatch.setattr(interfaces, "host_routes", lambda: kernel.routes)
    monkeypatch.setattr(tun, "RETRY", 0.0)
    return kernel


def taken(destination: IPv4Network) -> HostRoute:
    return HostRoute(destination, "eth0", "unicast")


def service(links: FakeLinks, mesh: IPv4Network | None = MESH) -> TunService:
    return TunService(links, ME, lambda: mesh)


@asynccontextmanager
async def running(device: TunService) -> AsyncIterator[None]:
    task = asyncio.ensure_future(device.run())
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def until_well(device: TunService) -> None:
    """Let the service work until packets can pass; it has nothing to wait for but its turn."""
    for _ in range(100):
        await asyncio.sleep(0)
    assert device.problem == ""


def test_the_device_gets_both_addresses_the_mtu_and_the_range(kernel: Kernel) -> None:
    links = FakeLinks()
    device = service(links)
    assert device.problem
    device.attach()

    assert links.tuns == ["pulse0"]
    assert kernel.links == [("pulse0", {"mtu": MTU, "gso_max_size": GSO_MAX, "up": True})]
    assert kernel.addresses == [IPv6Interface(f"{ME.addresses.v6}/48"), IPv4Interface("10.100.0.7/16")]
    assert device.problem == ""


def test_where_ipv6_is_off_for_all_the_device_alone_has_it() -> None:
    with namespace() as name, inside(name):
        for each in ("all", "default"):
            sysctl.write(f"net/ipv6/conf/{each}/disable_ipv6", "1")
        ip(name, "tuntap", "add", "pulse0", "mode", "tun")
        service(FakeLinks()).attach()

        given = [each["local"] for each in ip_json(name, "address", "show", "pulse0")[0]["addr_info"]]
        assert {str(ME.addresses.v4), str(ME.addresses.v6)} <= {*given}
        assert sysctl.read("net/ipv6/conf/lo/disable_ipv6") == "1", "only ours is changed"


def test_a_device_that_may_not_have_ipv6_goes_on_with_ipv4(
    kernel: Kernel, settings: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (settings / OFF).write_text("1")

    def read_only(path: Path, *_: object, **__: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "write_text", read_only)
    device = service(FakeLinks())
    device.attach()

    assert (device.problem, kernel.addresses) == ("", [IPv4Interface("10.100.0.7/16")])
    (told,) = [vars(each) for each in caplog.records if each.levelname == "WARNING"]
    assert "cannot set net.ipv6.conf.pulse0.disable_ipv6 to 0: Read-only file system" in told["error"]


def test_a_kernel_without_ipv6_goes_on_with_ipv4(
    kernel: Kernel, settings: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (settings / "net/ipv6").rename(settings / "gone")
    service(FakeLinks()).attach()

    assert kernel.addresses == [IPv4Interface("10.100.0.7/16")]
    assert [vars(each)["error"] for each in caplog.records if each.levelname == "WARNING"] == [
        "this kernel has no IPv6"
    ]


def test_without_a_config_there_is_a_device_and_a_problem(kernel: Kernel) -> None:
    links = FakeLinks()
    device = service(links, None)
    device.attach()

    assert links.tuns == ["pulse0"]
    assert "config has not come" in device.problem
    assert [address.version for address in kernel.addresses] == [6]


def test_the_config_that_comes_brings_the_range_and_the_same_one_again_nothing(kernel: Kernel) -> None:
    device = service(FakeLinks(), None)
    device.attach()
    device.mesh_cidr = lambda: WIDER
    device.config_changed()
    device.config_changed()

    assert device.problem == ""
    assert kernel.addresses[1:] == [IPv4Interface("10.100.0.7/12")]


def test_a_range_this_host_uses_already_is_refused_by_name(kernel: Kernel) -> None:
    kernel.routes = [taken(IPv4Network("10.100.3.0/24"))]
    with pytest.raises(Conflict, match="eth0"):
        service(FakeLinks()).attach()


def test_a_wider_route_is_only_worth_a_warning(kernel: Kernel, caplog: pytest.LogCaptureFixture) -> None:
    kernel.routes = [taken(IPv4Network("10.0.0.0/8"))]
    device = service(FakeLinks())
    device.attach()

    assert device.problem == ""
    assert ["10.0.0.0/8" in record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [True]


def test_a_range_that_comes_later_and_is_in_use_is_the_problem_of_the_device(kernel: Kernel) -> None:
    device = service(FakeLinks(), None)
    device.attach()
    kernel.routes = [taken(MESH)]
    device.mesh_cidr = lambda: MESH
    device.config_changed()

    assert "eth0" in device.problem


def test_a_device_deleted_a_moment_ago_is_no_error_for_it_is_made_anew(
    kernel: Kernel, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = service(FakeLinks(), None)
    device.attach()
    device.mesh_cidr = lambda: MESH

    def gone(*_: object) -> None:
        raise NoInterface("there is no network interface pulse0")

    monkeypatch.setattr(kernel, "add_address", gone)
    device.config_changed()

    assert "pulse0" in device.problem
    assert caplog.messages == []


def test_a_system_that_refuses_the_device_is_heard(kernel: Kernel) -> None:
    with pytest.raises(SystemRefused, match="CAP_NET_ADMIN"):
        service(FakeLinks(tun_refusals=[SystemRefused("lacks CAP_NET_ADMIN")])).attach()
    assert kernel.links == []


def test_detaching_removes_the_device(kernel: Kernel) -> None:
    links = FakeLinks()
    device = service(links)
    device.attach()
    device.detach()

    assert links.tuns == []


async def test_a_device_somebody_deleted_is_made_anew_with_its_addresses(kernel: Kernel) -> None:
    links = FakeLinks()
    device = service(links)
    device.attach()
    before = list(kernel.addresses)
    async with running(device):
        links.loses_tun("it was deleted")
        await until_well(device)

    assert links.tuns == ["pulse0"]
    assert kernel.addresses == before * 2


async def test_it_is_tried_again_until_the_system_lets_us(kernel: Kernel) -> None:
    links = FakeLinks()
    device = service(links)
    device.attach()
    links.tun_refusals = [SystemRefused("busy"), SystemRefused("busy")]
    async with running(device):
        links.loses_tun("it was deleted")
        await until_well(device)

    assert links.tun_refusals == []


async def test_a_device_that_could_not_be_finished_is_removed_before_the_next_try(kernel: Kernel) -> None:
    links = FakeLinks()
    device = service(links)
    device.attach()
    kernel.refusal = SystemRefused("no such device")
    async with running(device):
        links.loses_tun("it was deleted")
        await until_well(device)

    assert links.tuns == ["pulse0"]


async def test_a_device_made_anew_without_a_config_is_left_alone(kernel: Kernel) -> None:
    links = FakeLinks()
    device = service(links, None)
    device.attach()
    async with running(device):
        links.loses_tun("it was deleted")
        for _ in range(100):
            await asyncio.sleep(0)

    assert links.tuns == ["pulse0"]
    assert len(kernel.links) == 2
