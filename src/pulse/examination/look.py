"""Looks at the machine a node lives on, for `pulse doctor`.

Invariant: it changes nothing, and whatever cannot be seen is said to be so; each look takes seconds at most.
"""

from ipaddress import IPv4Network
from pathlib import Path

from pulse import clock
from pulse.config import NodeConfig
from pulse.core import addresses
from pulse.core.symptoms import Machine
from pulse.examination import datadir, exitnode, machine
from pulse.schemas.operating import Checkup
from pulse.store.files import as_owner


def look(config: NodeConfig, config_problem: str, checkup: Checkup | None, silence: str, version: str) -> Machine:
    """All that can be seen from outside; `checkup` is what the node that runs told, `silence` why it told nothing."""
    data_dir = Path(checkup.data_dir) if checkup else config.data_dir
    port = checkup.port if checkup else config.listen[1]
    device = checkup.device if checkup else config.tun.name
    hosts = checkup.hosts if checkup else [addresses.split(each)[0] for each in config.relays]
    wants_tun = checkup.tun if checkup else config.tun.enabled
    with as_owner(data_dir):
        found = datadir.state(data_dir, running=checkup is not None)
        tun_problem = machine.tun_problem() if wants_tun else ""
        range_ = IPv4Network(checkup.mesh_cidr) if checkup and checkup.mesh_cidr else datadir.range_of(data_dir, config)
    holder = int(found.get("holder", 0)) or (checkup.pid if checkup else 0)
    return Machine(
        data_dir=str(data_dir),
        version=version,
        config_problem=config_problem,
        silence=silence if holder and checkup is None else "",
        port=port,
        port_problems=() if holder else machine.port_problems(config),
        tun_wanted=wants_tun,
        tun_problem=tun_problem,
        may_configure=machine.may_configure(holder),
        socket_bytes=machine.socket_bytes(),
        mtus=machine.mtus(device),
        unresolved=machine.unresolved(hosts),
        dropping=machine.dropping(port),
        route_conflict=machine.conflict(range_, device) if wants_tun else "",
        wall=clock.wall(),
        open_files=machine.open_files(holder),
        refusing=bool(found.get("left")) and machine.refuses(),
        **{**found, **exitnode.state(), "holder": holder},
    )
