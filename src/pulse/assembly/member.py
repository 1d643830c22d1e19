"""How this machine is, or becomes, a member: it holds an identity, makes a network of its own, or joins one.

Invariant: an identity is on disk before anything runs under it, and its key is never replaced.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, zip_longest
from random import SystemRandom

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pulse import clock
from pulse.config import NodeConfig
from pulse.core.facts import Fact
from pulse.core.mesh import Mesh
from pulse.core.network import ranges
from pulse.core.trust.authorities import Chain, chain_of
from pulse.core.trust.certificates import as_utc
from pulse.core.trust.join import FINAL
from pulse.core.trust.members import label
from pulse.core.trust.renewal import Renewal
from pulse.core.types import spaced
from pulse.errors import LinkError, NotFound, PulseError
from pulse.net import relays as zone
from pulse.net.links import Links, Rpc
from pulse.services import enrol
from pulse.services.ca import CaService
from pulse.services.join import JoinService
from pulse.services.renewal import RenewalDenied, RenewalService, over_lanes
from pulse.store import authority, identity, peers
from pulse.store.identity import Identity
from pulse.store.netconfig import NetworkStore

log = logging.getLogger(__name__)

DEFAULT_NETWORK = "default"

ENDED_PATIENCE = 20.0
"""Seconds that a start waits for the next certificate; from then on the node asks while it runs."""


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
        mesh_range = config.mesh_range or ranges.DEFAULT
        return enrol.found(config.data_dir, network, mesh_range, config.node.name, config.ca.cert_life)
    if config.relays or config.join.invite or config.bootstrap.dns_domain:
        return await joined(config, links, log.info)
    raise NotFound(
        "this machine is in no network yet.\n"
        "Make one:  pulse start --ca --scribe --tun\n"
        "Join one:  pulse join pls_…  (the line that `pulse invite` prints on the first node)"
    )


async def lasting(config: NodeConfig, links: Links, found: Identity, progress: Callable[[str], None]) -> Identity:
    """The identity with a certificate that is good: one that ended is renewed over any node we know.

    If none is reached, or the CA says no for now, the node comes up all the same and goes on trying. Raises Refused if
    the CA says no for good.
    """
    me = found.certificate
    if max(clock.wall(), me.not_before, found.time_floor) <= me.not_after:
        return found
    if me.is_ca and authority.exists(config.data_dir):
        # Its own CA renews it as soon as it runs.
        return found
    log.warning("certificate has ended: asking the nodes known for the next one", extra={"end": as_utc(me.not_after)})
    progress(f"this machine's certificate ended at {as_utc(me.not_after)}: asking the nodes it knows for the next one")
    try:
        async with asyncio.timeout(ENDED_PATIENCE):
            renewed = await over_lanes(links, found, places(config, found))
    except RenewalDenied as error:
        if error.refusal in FINAL:
            raise
        log.warning("certificate not renewed yet", extra={"error": str(error)})
        progress(f"not now: {error}\nIt goes on asking while it runs")
        return found
    except (LinkError, TimeoutError) as error:
        log.warning("certificate not renewed yet", extra={"error": str(error) or "no answer"})
        progress("none of them could help; it goes on asking while it runs")
        return found
    identity.save(config.data_dir, renewed)
    until = as_utc(renewed.certificate.not_after)
    log.info("certificate renewed", extra={"until": until})
    progress(f"certificate renewed over {renewed.bootstrap[0]}, until {until}")
    return renewed


def places(config: NodeConfig, found: Identity) -> list[str]:
    """Where other nodes of the network may be reached: those a person named first, then those met before, in turn."""
    kept = peers.load(config.data_dir)[0] if config.persist.enabled else []
    return list(dict.fromkeys([*config.relays, *found.bootstrap, *_in_turn(peer.addresses for peer in kept)]))


def known_places(config: NodeConfig, found: Identity, mesh: Mesh) -> Callable[[], list[str]]:
    """Where other nodes may be reached as of when it is asked: `places`, and where those met since are, in turn."""

    def known() -> list[str]:
        met = (mesh.neighbours.addresses_of(each.node_id) for each in mesh.members.all())
        return [*places(config, found), *_in_turn(met)]

    return known


def _in_turn(of_nodes: Iterable[Iterable[str]]) -> Iterator[str]:
    """One place of each node, then the second of each: a node with many keeps nobody waiting for another."""
    return (each for each in chain.from_iterable(zip_longest(*of_nodes)) if each is not None)


def upkeep(
    config: NodeConfig,
    links: Links,
    found: Identity,
    mesh: Mesh,
    show: Callable[[Identity], None],
    call: Rpc,
    ca: CaService | None,
    tell: Callable[[Fact], None],
) -> RenewalService:
    """What has the certificate renewed while the node runs; `show` has handshakes show the next one."""
    machine = Renewal(found.certificate, SystemRandom())
    return RenewalService(
        *(links, found, machine, config.data_dir, show, tell, call, mesh.ca_nodes, known_places(config, found, mesh)),
        is_linked=lambda: bool(mesh.neighbours.links()),
        overdue=mesh.statements.overdue,
        statements=lambda: mesh.statements.chain.statements,
        nodes=mesh.members.count,
        own_ca=ca.renew if ca else None,
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


def chain_known(config: NodeConfig, identity: Identity, store: NetworkStore) -> Chain:
    """The CA keys that count, as far as this node's disk knows; where the CA is, that knows best."""
    found = chain_of(identity.certificate.network, identity.authorities, identity.successions)
    kept, own = store.load_chain(), authority.statements(config.data_dir)
    if kept.warning:
        log.warning("stored statements about CA keys damaged", extra={"error": kept.warning})
    try:
        return found.merged(kept.statements).merged(own)
    except PulseError as error:
        log.warning("stored object left out", extra={"kind": "chain", "error": str(error)})
        return found
