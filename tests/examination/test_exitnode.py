"""What an exit needs is seen as it is, in the namespace that is looked at."""

from pathlib import Path

from pulse.examination import exitnode
from pulse.net import sysctl
from pulse.net.exitrules import TABLE
from pulse.net.nftables import Nftables
from pulse.net.soleexit import SoleExit
from pulse.store import undo
from pulse.store.undo import Undo
from tests.namespace import inside, namespace


def test_forwarding_firewall_and_holder_are_seen() -> None:
    with namespace() as name, inside(name):
        assert exitnode.state() == {"forwarding": {4: False, 6: False}, "exit_table": False, "exit_holder": ""}

        sysctl.write(sysctl.FORWARDING[4], "1")
        table = Nftables(TABLE)
        table.replace([])
        with SoleExit("office-a"):
            seen = exitnode.state()
        table.close()
        assert seen == {"forwarding": {4: True, 6: False}, "exit_table": True, "exit_holder": "office-a"}


def test_a_damaged_list_is_seen_and_a_directory_that_is_not_there_is_none(data_dir: Path) -> None:
    undo.add(data_dir, Undo("openresolv", "pulse0"))
    assert exitnode.undo_problem(data_dir) == exitnode.undo_problem(data_dir / "none") == ""
    for name in ("undo", "undo.copy"):
        (data_dir / name).write_bytes(b"damaged")
    assert "undo is damaged" in exitnode.undo_problem(data_dir)
