"""`pulse demo`: its lines, its table, its last line."""

import pytest

from pulse.cli import demo
from pulse.lab.demo.stage import Outcome

GOOD = Outcome(
    ok=True,
    hash_equal=True,
    wrong_token_refused=True,
    token_reuse_refused=True,
    stranger_refused=True,
    clean=True,
    raw_gbit=20.0,
    mesh_gbit=5.0,
    ping_ms=0.51,
    join_s=0.42,
    seconds=21.3,
    relay_ping=True,
    relay_ping_ms=0.93,
    canary_absent=True,
    direct_after_join=True,
    direct_survives_relay_kill=True,
)


def test_in_a_pipe_a_step_is_told_when_it_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    lines = demo.Lines()
    lines.begins(3, "a first node")
    assert capsys.readouterr().out == ""

    lines.ends(3, "a first node", "relay is 10.100.0.1", "pulse start --ca")
    assert capsys.readouterr().out == " 3 ✓ a first node: relay is 10.100.0.1\n       pulse start --ca\n"


def test_the_table_sets_the_mesh_beside_the_cable() -> None:
    table = demo._table(GOOD, keep=False)

    assert "20.0 Gbit/s" in table
    assert "5.0 Gbit/s, 25% of it" in table
    assert "0.93 ms; the relay saw and held nothing in clear" in table
    assert table.endswith("Everything above ran on real interfaces; pulse demo --keep leaves it up.")


def test_a_demo_that_stays_does_not_promise_to() -> None:
    assert demo._table(GOOD, keep=True).endswith("Everything above ran on real interfaces.")
