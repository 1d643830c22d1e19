"""What is to be put back: kept in order, and told when it cannot be read."""

from pathlib import Path

from pulse.store import hostsettings
from pulse.store.hostsettings import Changed


def test_what_was_changed_is_there_again_in_its_order(tmp_path: Path) -> None:
    assert hostsettings.load(tmp_path) == ([], None)
    changed = [Changed("net/ipv4/ip_forward", "0", "1"), Changed("nftables", "", "pulse")]
    hostsettings.save(tmp_path, changed)
    assert hostsettings.load(tmp_path) == (changed, None)


def test_a_damaged_journal_is_named_and_says_what_to_look_at(tmp_path: Path) -> None:
    hostsettings.save(tmp_path, [Changed("net/ipv4/ip_forward", "0", "1")])
    path = tmp_path / "hostsettings"
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    changed, warning = hostsettings.load(tmp_path)
    assert (changed, "sysctl net.ipv4.ip_forward" in (warning or "")) == ([], True)
