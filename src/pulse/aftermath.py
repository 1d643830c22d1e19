"""What a node that is gone left on this machine: put back without a node.

Invariant: nothing is touched while a node runs in that data directory, nor what a node in another one set.
"""

import asyncio
from pathlib import Path

from pulse.services import exitnode, exits, resolver
from pulse.store import undo
from pulse.store.files import lock


def put_back(data_dir: Path) -> bool:
    """Routes, rules, firewall, forwarding and resolver as they were; False if nothing was left.

    Raises Conflict while a node runs there, SystemRefused for who may not.
    """
    entries, warning = undo.load(data_dir)
    if not entries and not warning:
        return False
    with lock(data_dir):
        exits.put_back(data_dir)
        exitnode.put_back(data_dir)
        asyncio.run(resolver.put_back(data_dir))
    return True
