"""Examination: what is on disk and in the kernel is seen as it is, and nothing changes by being looked at."""

from ipaddress import ip_network
from pathlib import Path

from pulse.net.policyrouting import PolicyRouting, wanted_routes
from pulse.services.exits import OURS
from pulse.store import undo
from pulse.store.files import lock
from pulse.store.undo import Kind, Undo
from tests.examination.conftest import look
from tests.namespace import inside


def test_what_a_node_that_is_gone_left_is_seen_and_that_it_refuses(data_dir: Path, netns: str) -> None:
    undo.add(data_dir, Undo(Kind.SYSCTL, "net/ipv4/ip_forward"))
    with inside(netns):
        found = look(data_dir)
        assert (found.left, found.refusing) == (("sysctl net/ipv4/ip_forward",), False)

        undo.add(data_dir, OURS)
        with PolicyRouting() as kernel:
            kernel.apply(wanted_routes({ip_network("0.0.0.0/0"): ""}))
        assert look(data_dir).refusing
        for name in ("undo", "undo.copy"):
            (data_dir / name).write_bytes(b"damaged")
        found = look(data_dir)
        assert (found.left, found.refusing) == (("nobody knows what, for its list is damaged",), True)
        with lock(data_dir):
            assert (look(data_dir).left, look(data_dir).refusing) == ((), False)


def everything(data_dir: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}


def test_a_whole_directory_has_no_problem_and_is_left_as_it_was(data_dir: Path) -> None:
    before = everything(data_dir)

    found = look(data_dir)

    assert (found.member, found.state_problem, found.disk_problem, found.journal_problem) == (True, "", "", "")
    assert (found.holder, found.silence, found.port_problems) == (0, "", ())
    assert found.certificate_until is not None
    assert found.certificate_until > found.wall
    assert everything(data_dir) == before
