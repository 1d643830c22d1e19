"""Which relay carries a flow is told by its cables; that another one takes over is e2e/test_relayed.py."""

from pulse.lab import failover
from pulse.lab.lab import Lab
from pulse.lab.topologies import joined
from tests.namespace import require_root


def test_the_relay_in_use_is_the_one_whose_cables_carry_packets() -> None:
    require_root()
    with Lab(joined(("relay", "spare"), ("spare", "right"))) as lab:
        lab["right"].run(["ping", "-c1", "-W5", str(lab["spare"].ports[1].v4.ip)])
        pings = lab["right"].popen(["ping", "-i0.01", str(lab["spare"].ports[1].v4.ip)])

        assert failover.relay_in_use(lab).name == "spare"
        pings.stop()
