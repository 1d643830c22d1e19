"""Pulse on hosts of a lab, as the lab brings it up; meshes at work are in test_play.py."""

import pytest

from pulse.errors import PulseError
from pulse.lab import mesh
from pulse.lab.lab import Lab
from tests.namespace import require_root


def test_where_no_pulse_runs_none_is_ended_and_none_answers() -> None:
    require_root()
    with Lab() as lab:
        with pytest.raises(PulseError, match="no pulse runs on a"):
            mesh.power_off(lab["a"])
        with pytest.raises(PulseError):
            mesh.status(lab["a"])
