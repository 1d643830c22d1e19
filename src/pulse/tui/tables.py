"""Every view of `pulse top`, in the order of their number keys."""

from typing import Final

from pulse.tui.views.certs import CERTS
from pulse.tui.views.dns import DNS
from pulse.tui.views.events import EVENTS
from pulse.tui.views.nodes import NODES
from pulse.tui.views.paths import PATHS
from pulse.tui.views.policy import POLICY
from pulse.tui.views.routes import ROUTES
from pulse.tui.views.tokens import TOKENS
from pulse.tui.views.traffic import TRAFFIC

TABLES: Final = (NODES, PATHS, POLICY, TOKENS, DNS, ROUTES, CERTS, EVENTS, TRAFFIC)
