"""Every file a node keeps, written by this release and read again; `python -m tests.state DIRECTORY` writes them.

Run with the next release first on the path (`tests/later.py`), it writes them as that one would. Keys of nodes come
from seeds, and all of them belong to no network that runs.
"""

import sys
from pathlib import Path
from typing import Any, Final

from pulse import remote
from pulse.config import Node, NodeConfig, Remote
from pulse.core.events import Event, Kind
from pulse.core.network.hits import HITS
from pulse.core.network.netconfig import Config, Settings, open_config, sign_config
from pulse.core.network.policy import Rule
from pulse.core.network.tally import Report, Tally
from pulse.core.trust.apikeys import ApiKey, Scope
from pulse.core.trust.authorities import trusted_authorities
from pulse.core.trust.certificates import parse
from pulse.core.trust.identity import node_bytes, public_bytes
from pulse.core.trust.join import Floors, build_csr
from pulse.core.trust.revocation import open_revocation, sign_revocation
from pulse.core.trust.roles import Roles, open_roles, sign_roles
from pulse.store import (
    apikeys,
    authority,
    backup,
    boot,
    events,
    identity,
    peers,
    pins,
    resolver,
    rotation,
    succession,
    tally,
    undo,
)
from pulse.store.files import open_data_dir, write_file
from pulse.store.identity import Identity
from pulse.store.netconfig import NetworkStore
from tests.authority import MESH, NOW, key, node, request, token

BACKUP: Final = "ca.backup"
MASTER: Final = "master-token-of-thirty-two-characters-or-more"
PEER: Final = peers.KnownPeer(node("web"), "web", ["198.18.0.2:8443", "[fd18::2]:8443"], b"a certificate")
SYSCTL: Final = undo.Undo(undo.Kind.SYSCTL, "net/ipv4/conf/pulse0/forwarding", "0", "1")
SCRIBE: Final = Roles(3, node("own"), 2, frozenset({node("web")}), public_bytes(key("own")))
CONFIG: Final = Config(
    2,
    17,
    Settings("10.100.0.0/16"),
    names={node_bytes(node("web")): "web"},
    tags={node_bytes(node("web")): ["db", "prod"]},
    acl=[Rule("r1", ["tag:dev"], ["tag:db"], True, [6], [(5432, 5432)])],
    last_rule=4,
)


def write(place: Path) -> None:
    """Fill a new data directory, and lay a backup of its CA beside the rest."""
    open_data_dir(place)
    authority.found(place, "mynet", MESH, NOW)
    _write_ca(place)
    _write_network(place)
    boot.save_boot(place, 41)
    peers.save(place, [PEER])
    pins.save(place, {node("web"): node("relay")})
    apikeys.save(place, [ApiKey(b"\x07" * 32, "grafana", Scope.READ, NOW)])
    undo.add(place, SYSCTL)
    resolver.save(place, wanted=True)
    counted = Tally(HITS)
    counted.names_known({"r1", ""})
    counted.reported(node("web"), Report(b"\x01" * 16, 1, {"r1": 7, "": 2}), 5.0)
    tally.save(place, counted)
    write_file(remote.place(place), remote.written({"node": {"log_level": "debug"}}))
    journal = events.EventJournal.open(place, NOW)
    journal.append([(NOW + 1, Event(Kind.JOIN, {"node": node("web"), "name": "web", "v4": "10.100.0.2"}))])
    journal.keep_head()
    journal.close()
    backup.save(place, place / BACKUP, NOW + 5)
    identity.join_key(place, key("joining"))


def _write_ca(place: Path) -> None:
    issuer = authority.open_issuer(place)
    with authority.open_ledger(place, issuer) as ledger:
        own = ledger.enrol_own(issuer, build_csr(key("own")), "box", now=NOW, serial=11)
        ledger.add_token(token("t", max_uses=2, tags=("db",)))
        ledger.set_master(MASTER, NOW)
        ledger.admit(issuer, request("web", token("t", max_uses=2), "web"), now=NOW, serial=12, floors=Floors())
        shut = sign_revocation(issuer.network, node("thief"), issuer.signer, time=NOW, reason="lost")
        ledger.revoke_node(node("thief"), shut.data, NOW)
    rotation.begin(place, issuer, NOW)
    kept = authority.open_issuer(place)
    said = (kept.authorities, kept.successions, True, "0123456789ab", Floors(3, 2, 17), NOW, ("r:443",))
    me = Identity(key("own"), parse(own), *said)
    identity.save(place, me)


def _write_network(place: Path) -> None:
    store, issuer = NetworkStore(place), authority.open_issuer(place)
    store.save_roles(3, sign_roles(issuer.network, SCRIBE, issuer.signer).data)
    signed = sign_config(issuer.network, CONFIG, key("own"))
    store.save_config(*signed.number, signed.data)
    store.save_chain(issuer.successions)
    store.save_revocation(
        node("thief"), sign_revocation(issuer.network, node("thief"), issuer.signer, time=NOW, reason="lost").data
    )


def read(place: Path) -> dict[str, Any]:
    """What is read from such a directory, by the file it is in."""
    me, network = identity.load(place), _network(place)
    issuer = authority.open_issuer(place)
    with authority.open_ledger(place, issuer) as ledger:
        checked = ledger.verify()
        tokens = [[each.token_id, each.max_uses, list(each.tags), each.is_master] for each in ledger.tokens()]
        ca = [tokens, ledger.master(), checked.entries, checked.broken, len(ledger.revocations())]
    begun = succession.read(place / authority.DIRECTORY)
    restored = backup.put_back(place / "restored", place / BACKUP, NOW + 9)
    wanted = NodeConfig(node=Node(data_dir=str(place)), remote=Remote(config=("node.log_level",)))
    journal = events.verified(place)
    return {
        "identity": [me.certificate.node_id, me.certificate.network.name, me.pinned, me.token, me.time_floor],
        "identity/floors": [me.floors.roles_epoch, me.floors.scribe_epoch, me.floors.generation, *me.bootstrap],
        "identity/keys": [public_bytes(me.key).hex(), len(me.authorities), len(me.successions)],
        "join.key": public_bytes(identity.join_key(place, key("another"))).hex(),
        "network": network,
        "ca": [str(issuer.mesh_cidr), len(issuer.authorities), len(issuer.successions)],
        "ca/ledger.sqlite": ca,
        "ca/succession": [begun.step, begun.number, begun.begun],
        "boot": boot.raise_boot(place).count,
        "peers": [[each.node, each.name, each.addresses, each.certificate.hex()] for each in peers.load(place)[0]],
        "pins": pins.load(place)[0],
        "api-keys": [[each.name, each.scope, each.created, each.sha256.hex()] for each in apikeys.load(place)[0]],
        "undo": [[each.kind, each.place, each.before, each.ours] for each in undo.load(place)[0]],
        "resolver": resolver.load(place)[0],
        "hits": {of: life.totals() for of, life in tally.load(place, HITS)[0].lives.items()},
        "remote.toml": remote.read(wanted),
        "events": [journal.entries, journal.broken],
        "backup": [restored.network.partition(".")[0], restored.made, restored.entries, restored.tokens_revoked],
    }


def _network(place: Path) -> list[object]:
    me, store = identity.load(place).certificate, NetworkStore(place)
    chain = authority.open_issuer(place)
    trusted = trusted_authorities(me.network, chain.authorities, chain.successions)
    roles, config = store.load_roles().data, store.load_config().data
    assert roles is not None
    assert config is not None
    office = open_roles(roles, me.network, trusted).roles
    found = open_config(config, me.network, trusted, office, me.public_key).config
    shut = [open_revocation(data, me.network, trusted) for data in store.load_revocations().objects]
    rule = found.acl[0]
    return [
        [office.epoch, office.scribe, office.scribe_epoch, sorted(office.operators)],
        [found.scribe_epoch, found.generation, found.settings.mesh_cidr, found.last_rule],
        [[key.hex(), name, found.tags[key]] for key, name in found.names.items()],
        [rule.id, rule.sources, rule.destinations, rule.allow, rule.protocols, [[*each] for each in rule.ports]],
        [[each.node, each.time, each.reason] for each in shut],
        len(store.load_chain().statements),
    ]


if __name__ == "__main__":
    write(Path(sys.argv[1]))
