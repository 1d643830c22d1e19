"""What is to be put back: on disk before it is set, and told by name if that is damaged."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pulse.core.network.hits import HITS
from pulse.errors import SystemRefused
from pulse.store import resolver, tally, undo
from pulse.store.files import open_data_dir
from pulse.store.undo import MOST, Kind, Undo

TUN = Undo("systemd-resolved", "pulse0")
OTHER = Undo("openresolv", "pulse1")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return open_data_dir(tmp_path / "data")


def test_an_entry_is_there_once_until_it_was_put_back(data_dir: Path) -> None:
    assert undo.load(data_dir) == ([], None)

    for each in (TUN, OTHER, TUN):
        undo.add(data_dir, each)
    assert undo.load(data_dir) == ([TUN, OTHER], None)

    undo.remove(data_dir, TUN)
    undo.remove(data_dir, TUN)
    assert undo.load(data_dir) == ([OTHER], None)


def test_what_was_before_the_first_time_is_what_is_put_back_in_the_order_in_which_it_was_set(data_dir: Path) -> None:
    first = Undo(Kind.SYSCTL, "net/ipv4/ip_forward", "0", "1")
    for each in (first, TUN, Undo(Kind.SYSCTL, "net/ipv4/ip_forward", "1", "1"), Undo(Kind.FIREWALL, "pulse")):
        undo.add(data_dir, each)
    assert undo.load(data_dir) == ([first, TUN, Undo(Kind.FIREWALL, "pulse")], None)

    undo.remove(data_dir, first, Undo(Kind.FIREWALL, "pulse"))
    assert undo.load(data_dir) == ([TUN], None)


def test_what_the_list_has_no_room_for_is_refused_and_nothing_on_it_forgotten(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST == 256
    monkeypatch.setattr(undo, "MOST", 8)
    for number in range(8):
        undo.add(data_dir, Undo("openresolv", f"pulse{number}"))

    with pytest.raises(SystemRefused, match=r"is full: 8 things .* so pulse8 is not"):
        undo.add(data_dir, Undo("openresolv", "pulse8"))

    entries, _ = undo.load(data_dir)
    assert [each.place for each in entries] == [f"pulse{number}" for number in range(8)]


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("name", ["undo", "undo.copy"])
def test_of_two_lists_one_may_be_damaged_or_gone(data_dir: Path, name: str) -> None:
    undo.add(data_dir, TUN)
    damage(data_dir / name)
    assert undo.load(data_dir) == ([TUN], None)
    undo.add(data_dir, OTHER)
    (data_dir / name).unlink()
    assert undo.load(data_dir) == ([TUN, OTHER], None)

    undo.remove(data_dir, TUN)
    damage(data_dir / ("undo" if name == "undo.copy" else "undo.copy"))
    assert undo.load(data_dir) == ([OTHER], None)


def test_a_damaged_list_is_empty_and_says_where_to_look(data_dir: Path) -> None:
    undo.add(data_dir, TUN)
    damage(data_dir / "undo")
    damage(data_dir / "undo.copy")

    entries, warning = undo.load(data_dir)

    assert entries == []
    assert warning is not None
    assert "undo is damaged" in warning
    assert "resolvectl status" in warning
    assert "sysctl net.ipv4.ip_forward" in warning
    assert f"rm {data_dir}/undo {data_dir}/undo.copy" in warning


LOADS = {
    "undo": undo.load,
    "resolver": resolver.load,
    "hits": partial(tally.load, kind=HITS),
}


@pytest.mark.parametrize(("name", "load"), LOADS.items(), ids=LOADS)
def test_what_the_disk_does_not_give_is_a_warning_and_keeps_no_node_from_starting(
    data_dir: Path, name: str, load: Callable[[Path], tuple[object, str | None]]
) -> None:
    """As where it belongs to somebody else, or the disk fails: here a directory stands in its place."""
    (data_dir / name).mkdir()
    _, warning = load(data_dir)
    assert warning is not None
    assert str(data_dir) in warning
