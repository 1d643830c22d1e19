"""The first act: what is refused must be refused for its own reason."""

import pytest

from pulse.errors import PulseError
from pulse.lab.demo import pair
from pulse.lab.demo.story import PLAN
from pulse.lab.lab import Lab
from tests.namespace import require_root


def test_a_relay_out_of_reach_is_no_refusal() -> None:
    require_root()
    with Lab(PLAN) as lab, pytest.raises(PulseError, match="failed for another reason"):
        pair._refused_join(lab["stranger"], "198.18.1.1", "abcdefghijklmnopqrstuvwxyz0123456789")
