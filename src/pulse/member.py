"""How this machine is, or becomes, a member: it holds an identity, makes a network of its own, or joins one.

Invariant: an identity is on disk before anything runs under it, and none is ever replaced.
"""

import logging
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pulse.config import NodeConfig
from pulse.core.network import ranges
from pulse.core.trust.certificates import as_utc
from pulse.core.trust.members import label
from pulse.core.types import spaced
from pulse.errors import LinkError, NotFound
from pulse.net import relays as zone
from pulse.net.links import Links
from pulse.services import enrol
from pulse.services.join import JoinService
from pulse.store import identity
from pulse.store.identity import Identity

log = logging.getLogger(__name__)

DEFAULT_NETWORK = "default"


def held(config: NodeConfig) -> Identity | None:
    """The identity this machine has. Raises Refused or Conflict if a person asks it for what it is not."""
    try:
        found = identity.load(config.data_dir)
    except NotFound:
        return None
    enrol.check_member(found, config.node.network_id or None, wants_ca=config.ca.enabled)
    return found


async def enrolled(config: NodeConfig, links: Links) -> Identity:
    """A new identity, as the settings say: with a network of its own, or in one that is joined. Raises PulseError."""
    if config.ca.enabled:
        network = config.node.network_id or DEFAULT_NETWORK
        return enrol.found(config.data_dir, network, config.mesh_range or ranges.DEFAULT, config.node.name)
    if config.relays or config.join.invite or config.bootstrap.dns_domain:
        return await joined(config, links, log.info)
    raise NotFound(
        "this machine is in no network yet.\n"
        "Make one:  pulse --ca --scribe --tun\n"
        "Join one:  pulse join pls_…  (the line that `pulse invite` prints on the first node)"
    )


async def joined(config: NodeConfig, links: Links, progress: Callable[[str], None]) -> Identity:
    """Join the network of an invite, or of relays and a token. Raises PulseError."""
    relays = config.relays or await _published(config.bootstrap.dns_domain, progress)
    way = enrol.door(relays, config.join.token, config.join.invite, config.node.network_id or None)
    key = identity.join_key(config.data_dir, Ed25519PrivateKey.generate())
    service = JoinService(links, progress)
    host = enrol.wanted_name(config.node.name)
    enrolment = await service.join(way.addresses, way.token, key, network=way.network, host=host)
    member = enrol.keep(config.data_dir, key, enrolment, way)
    me = member.certificate
    shown = "is the one in the invite" if member.pinned else "trusted on first use; compare it with: pulse id on the CA"
    progress(f"CA {spaced(me.network.ca_hash)} {shown}")
    progress(f"certificate for {label(me)}, {me.addresses.v4}, until {as_utc(me.not_after)[:10]}")
    return member


async def _published(domain: str, progress: Callable[[str], None]) -> tuple[str, ...]:
    """The relays of a domain, if one is given. Raises LinkError."""
    if not domain:
        return ()
    try:
        found = await zone.published(domain)
    except OSError as error:
        raise LinkError(f"{error}.\nName a relay yourself: pulse join <host:port> --token-file <file>") from error
    if not found:
        raise LinkError(f'_pulse.{domain} names no relay. Its TXT records have to be like "relay.{domain}:443"')
    progress(f"{domain} names {', '.join(found)}")
    return found
