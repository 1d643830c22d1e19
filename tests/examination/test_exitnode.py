"""What an exit needs is seen as it is, in the namespace that is looked at."""

from pulse.examination import exitnode
from pulse.net import sysctl
from pulse.net.exitrules import TABLE
from pulse.net.nftables import Nftables
from pulse.net.soleexit import SoleExit
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
