"""Which flag, which variable and which TOML path name the same setting, and of which kind it is.

Invariant: every setting has a variable, but for tables and the invite, which is a word of its own.
"""

from typing import Final

SETTINGS: Final = {
    "addr": "node.addr",
    "listen": "node.listen",
    "data-dir": "node.data_dir",
    "network": "node.network_id",
    "name": "node.name",
    "log-level": "node.log_level",
    "tcp": "node.tcp_listen",
    "join": "join.relay_addr",
    "token": "join.token",
    "token-file": "join.token_file",
    "ca": "ca.enabled",
    "ca-token": "ca.join_token",
    "force-time": "ca.force_time",
    "scribe": "scribe.enabled",
    "scribe-listen": "scribe.listen",
    "metrics-listen": "metrics.listen",
    "tun": "tun.enabled",
    "tun-queues": "tun.queues",
    "fec": "tun.fec",
    "dns": "dns.enabled",
    "dns-listen": "dns.listen",
    "mesh-cidr": "tun.cidr",
    "socks": "socks.enabled",
    "socks-listen": "socks.listen",
    "portmap": "portmap.enabled",
    "beacon": "beacon.enabled",
    "birthday": "nat.birthday",
    "exit": "exit.enabled",
    "exit-cidrs": "exit.cidrs",
    "use-exits": "exit.use",
}
"""Flag (without its dashes) to TOML path; the variable is PULSE_ and the flag in capitals."""

NO_FLAG: Final = (
    "node.log_format",
    "node.tcp_token",
    "node.tcp_token_file",
    "node.reverse_forwards",
    "node.serve_programs",
    "node.lead_here",
    "bootstrap.peers",
    "bootstrap.dns_domain",
    "scribe.hosts",
    "ca.cert_life",
    "tun.name",
    "socks.user",
    "socks.password",
    "socks.password_file",
    "node.log_bytes",
    "node.log_files",
    "persist.enabled",
    "persist.interval",
    "exit.routes_file",
    "control.socket",
    "remote.restart",
    "remote.config",
)
"""Settings without a flag; their variable is PULSE_, section and key: PULSE_TUN_NAME."""

VARIABLES: Final = {f"PULSE_{flag.upper().replace('-', '_')}": path for flag, path in SETTINGS.items()} | {
    f"PULSE_{path.upper().replace('.', '_')}": path for path in NO_FLAG
}
"""Environment variable to TOML path."""

OTHERS: Final = frozenset(
    {
        "PULSE_CONFIG",
        "PULSE_API_URL",
        "PULSE_API_KEY",
        "PULSE_SERVER",
        "PULSE_SINK",
        "PULSE_SOURCE",
        "PULSE_COOKIE",
        "PULSE_CLIENTCONFIG",
        "PULSE_BINARY",
        "PULSE_DLPATH",
        "PULSE_SCRIPT",
        "PULSE_CONFIG_PATH",
        "PULSE_STATE_PATH",
        "PULSE_RUNTIME_PATH",
        "PULSE_LATENCY_MSEC",
        "PULSE_INTERNAL",
        "PULSE_NO_SIMD",
        "PULSE_NO_SPAWN",
    }
)
"""No settings: what says where pulse looks, and what PulseAudio reads, which has more of that name."""

SWITCHES: Final = frozenset(
    {
        "node.reverse_forwards",
        "node.serve_programs",
        "node.lead_here",
        "ca.enabled",
        "ca.force_time",
        "scribe.enabled",
        "tun.enabled",
        "tun.fec",
        "dns.enabled",
        "socks.enabled",
        "portmap.enabled",
        "persist.enabled",
        "beacon.enabled",
        "nat.birthday",
        "exit.enabled",
        "exit.use",
        "remote.restart",
    }
)
NUMBERS: Final = frozenset({"ca.cert_life", "tun.queues", "node.log_bytes", "node.log_files", "persist.interval"})
LISTS: Final = frozenset({"bootstrap.peers", "scribe.hosts", "remote.config", "exit.cidrs"})
