"""Scenarios at work: real nodes, faults on the clock, and expectations that hold or fail."""

import pytest

from pulse.errors import PulseError
from pulse.lab.lab import Lab
from pulse.lab.play import Play
from pulse.lab.scenario import Do, Fault, read
from tests.namespace import require_root

PLAIN = """
[hosts.left]
[hosts.right]
[hosts.other]
[[networks]]
name = "office"
hosts = ["left", "right", "other"]
"""

FAILING = """
[[expect]]
from = "left"
to = "right"

[[fault]]
do = "unplug"
host = "right"
network = "office"
at = "0.5s"

[[expect]]
from = "left"
to = "right"
reached = "no"
after = "0.5s"

[[expect]]
from = "left"
to = "right"
after = "1s"
within = "1s"
"""

MESH = """
[hosts.hub]
pulse = { ca = true }
[hosts.member]
pulse = { settings = { node = { log_level = "debug" } } }
[[networks]]
hosts = ["hub", "member"]

[[expect]]
from = "member"
to = "hub"
reached = "direct"
link = "quic"

[[fault]]
do = "kill"
host = "hub"
at = "1s"

[[expect]]
from = "member"
to = "hub"
reached = "no"
after = "1s"

[[expect]]
from = "hub"
to = "member"
reached = "relayed"
after = "1s"
within = "0.5s"
"""


def test_what_is_expected_of_machines_without_pulse_is_judged_by_pings() -> None:
    require_root()
    scenario = read("x.toml", PLAIN + FAILING)
    told: list[str] = []
    with Lab(scenario) as lab:
        play = Play(lab, scenario, told.append)
        play.begin()
        report = play.run("x")

        assert [each.ok for each in report.expectations] == [True, True, False]
        assert (report.ok, report.expectations[2].seen, report.expectations[2].took) == (False, "no answer", None)
        assert [each.fault for each in report.faults] == ["unplug right office"]
        assert told[0].endswith("s  unplug right office")

        play.happen(Fault(Do.PLUG, host="right"))
        play.happen(Fault(Do.RUN, host="left", command=f"ping -c1 -W5 {lab['right'].v4.ip}"))
        with pytest.raises(PulseError, match=r"run left false \(at 3s\): false on left ended with 1"):
            play.happen(Fault(Do.RUN, at="3s", host="left", command="false"))
        play.happen(Fault(Do.ROUTE, host="left", to="other"))
        assert f"default via {lab['other'].v4.ip}" in lab["left"].run(["ip", "route"]).stdout


@pytest.mark.e2e
def test_nodes_come_up_with_their_settings_and_faults_befall_them() -> None:
    require_root()
    scenario = read("x.toml", MESH)
    with Lab(scenario) as lab:
        play = Play(lab, scenario)
        play.begin()
        report = play.run("x")

        assert [each.ok for each in report.expectations] == [True, True, False]
        assert report.expectations[0].seen == "directly, quic"
        # A ping that was under way as its node was killed has no answer.
        assert report.expectations[2].seen in {"its pulse does not answer", "no answer"}
        assert " DEBUG " in (lab["member"].data / "pulse.log").read_text()
        with pytest.raises(PulseError, match=r"kill hub \(at 0s\): no pulse runs on hub"):
            play.happen(Fault(Do.KILL, host="hub"))
