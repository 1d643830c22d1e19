"""A small CA for tests: keys from seeds, certificates of any shape, tokens and requests in one line each."""

import hashlib
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pulse.core.trust.authorities import Chain, chain_of
from pulse.core.trust.ca import BACKDATED, LEAF_LIFETIME, Grant, Issuer, make_authority
from pulse.core.trust.certificates import Authority, Certificate, parse
from pulse.core.trust.identity import mesh_v6, node_id, public_bytes
from pulse.core.trust.join import build_csr, build_request
from pulse.core.trust.tokens import TokenRecord, new_token, secret_from
from pulse.core.types import MeshAddresses, Network, NodeId

NOW = 1_790_000_000.0
"""The wall clock of tests: 2026-09-21."""

NONCE = bytes(16)
MESH = IPv4Network("10.100.0.0/16")


def key(seed: str) -> Ed25519PrivateKey:
    """A node's key, the same for the same seed."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())


def secret(seed: str) -> str:
    """A token's secret, the same for the same seed."""
    return secret_from(hashlib.sha256(b"token" + seed.encode()).digest())


def node(seed: str) -> NodeId:
    """The id of the node with that key."""
    return node_id(public_bytes(key(seed)))


def token(seed: str, *, ttl: float | None = None, max_uses: int = 0, tags: tuple[str, ...] = ()) -> TokenRecord:
    """A token made now."""
    return new_token(secret(seed), NOW, ttl=ttl, max_uses=max_uses, tags=tags)


def request(machine: str, token: TokenRecord, host: str = "") -> bytes:
    """The join request of a machine with that token."""
    return build_request(token.keys, build_csr(key(machine)), NONCE, host)


@dataclass
class Ca:
    """A CA whose key comes from its name."""

    name: str = "ca"
    network_name: str = "mynet"
    mesh: IPv4Network = MESH
    made: float = NOW
    """When it was made and signs; the real time where the data plane judges, which has a clock of its own."""
    key: Ed25519PrivateKey = field(init=False)
    authority: Authority = field(init=False)
    issuer: Issuer = field(init=False)

    def __post_init__(self) -> None:
        self.key = key(self.name)
        self.authority = make_authority(self.key, self.network_name, self.made, 1)
        self.issuer = Issuer(self.key, self.authority, self.mesh)

    @property
    def network(self) -> Network:
        """The network it makes."""
        return self.authority.network

    @property
    def chain(self) -> Chain:
        """Its key, and none after it."""
        return chain_of(self.network, (self.authority.der,), ())

    def grant(self, machine: str) -> Grant:
        """What it would put into a machine's certificate."""
        return Grant(
            public_key=public_bytes(key(machine)),
            addresses=MeshAddresses(IPv4Address("10.100.1.2"), mesh_v6(self.network, node(machine))),
            name=None,
            host=None,
            tags=(),
            is_ca=False,
            not_before=self.made - BACKDATED,
            not_after=self.made + LEAF_LIFETIME,
        )

    def leaf(self, machine: str, **changes: object) -> bytes:
        """A machine's certificate in DER, with some of the grant changed."""
        return self.issuer.issue(replace(self.grant(machine), **changes), 7)  # type: ignore[arg-type]

    def certificate(self, machine: str, **changes: object) -> Certificate:
        """The same, read."""
        return parse(self.leaf(machine, **changes))
