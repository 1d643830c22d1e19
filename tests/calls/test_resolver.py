"""The resolver's calls: an answer may take as long as the machine's programs do."""

import tempfile
from pathlib import Path

from pulse.calls import resolver
from pulse.calls.resolver import ResolverCalls
from pulse.client import TIMEOUT, Client
from tests.api.fake_control import FakeControl, serving
from tests.api.fake_resolver import TOLD, UNTOLD


def test_what_takes_programs_of_the_machine_has_their_time() -> None:
    with tempfile.TemporaryDirectory(prefix="pulse-", dir="/tmp") as name:
        place = Path(name) / "pulse.sock"
        with serving(place, FakeControl()), Client(place, timeout=TIMEOUT - resolver.PATIENCE) as client:
            # A negative limit: only what has more time gets an answer at all.
            assert ResolverCalls(client).set_up() == TOLD
            assert ResolverCalls(client).take_back() == UNTOLD
