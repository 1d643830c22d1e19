"""Firewalls of a lab: a host, or a router and all behind it, to whom a kind of traffic is shut.

Invariant: a table of its own, so that NATs, impairments and programs on the host keep theirs; loopback is left alone.
"""

from typing import Final

from pulse.lab import namespaces
from pulse.lab.plan import Firewall

_TABLE: Final = "pulse-firewall"
_EMPTY: Final = f"table inet {_TABLE}\ndelete table inet {_TABLE}\n"
_MATCHES: Final = {Firewall.UDP: "meta l4proto udp"}


def shut(namespace: str, what: Firewall | None) -> None:
    """Drop from now on what a firewall drops, to, from and through a namespace; None opens it. Raises SystemRefused."""
    namespaces.load_rules(namespace, _EMPTY + (_rules(what) if what else ""))


def _rules(what: Firewall) -> str:
    return f"""\
table inet {_TABLE} {{
	chain taken {{
		type filter hook input priority -20
		iifname != "lo" {_MATCHES[what]} drop
	}}
	chain passed {{
		type filter hook forward priority -20
		{_MATCHES[what]} drop
	}}
	chain sent {{
		type filter hook output priority -20
		oifname != "lo" {_MATCHES[what]} drop
	}}
}}
"""
