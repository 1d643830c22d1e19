"""The list of metrics names all there are, as they are told; alert rules and dashboard ask for no other."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from pulse.services.metrics import FAMILIES
from pulse.wording import DASH

ROOT = Path(__file__).parents[2]
LIST = ROOT / "docs" / "reference" / "metrics.md"
SHIPPED = ROOT / "deploy" / "wheel" / "data" / "share" / "pulse-mesh"
ALERTS = SHIPPED / "prometheus" / "alerts.yml"
DASHBOARD = SHIPPED / "grafana" / "pulse.json"
ROW = re.compile(rf"^\| (pulse_[a-z_]+) \| ([a-z]+) \| ([a-z_ {DASH}]+) \| (.+) \|$", re.MULTILINE)
NAME = re.compile(r"\bpulse_[a-z_]+\b")
LABELLED = re.compile(r"\b(pulse_[a-z_]+)\{([^}]*)\}")
LABELS = {family.name: {*family.labels, "instance"} for family in FAMILIES}


def asked(dashboard: dict[str, Any]) -> list[str]:
    """Every expression of the dashboard."""
    variables = [each["definition"] for each in dashboard["templating"]["list"] if "definition" in each]
    return variables + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def alerts() -> list[str]:
    """Every expression of the alert rules."""
    return re.findall(r"^ +expr: (.+)$", ALERTS.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_list_is_what_is_told() -> None:
    listed = ROW.findall(LIST.read_text(encoding="utf-8"))

    assert listed == [(each.name, each.kind, " ".join(each.labels) or DASH, each.help) for each in FAMILIES]


@pytest.mark.parametrize("place", [ALERTS, DASHBOARD], ids=lambda place: place.name)
def test_nothing_else_is_asked_for(place: Path) -> None:
    asked_for = alerts() if place is ALERTS else asked(json.loads(place.read_text(encoding="utf-8")))
    named = [name for each in asked_for for name in NAME.findall(each)]

    assert len(named) >= 12
    assert {*named} - LABELS.keys() == set()


def test_alerts_and_dashboard_go_by_labels_that_are_there() -> None:
    expressions = alerts() + asked(json.loads(DASHBOARD.read_text(encoding="utf-8")))
    pairs = [(name, label) for each in expressions for name, found in LABELLED.findall(each)
             for label in re.findall(r"(\w+)[=!]", found)]  # fmt: skip

    assert len(pairs) > 10
    assert [(name, label) for name, label in pairs if label not in LABELS[name]] == []


def test_every_alert_says_what_to_do() -> None:
    text = ALERTS.read_text(encoding="utf-8")
    assert len(alerts()) == text.count("summary:") == text.count("description:") == text.count("severity:")


PROMTOOL: Final = shutil.which("promtool") or ""

if PROMTOOL:

    def test_promtool_has_nothing_against_the_alerts() -> None:
        done = subprocess.run([PROMTOOL, "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
