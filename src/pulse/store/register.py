"""The ledger's tables, and the questions and changes asked of them inside a transaction.

Invariant: a `Register` lives inside one open transaction of its connection; the ledger opens and ends it.
"""

import sqlite3
from ipaddress import IPv4Address
from typing import Final

import msgspec

from pulse.core.trust.admission import AdmitOwn, Issued
from pulse.core.trust.certificates import Certificate, parse
from pulse.core.trust.tokens import TokenKeys, TokenRecord
from pulse.core.types import SHORT_ID, NodeId
from pulse.errors import Conflict
from pulse.store.journal import TABLE as JOURNAL

SCHEMA: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT",
    "CREATE TABLE certificates (serial TEXT PRIMARY KEY, node TEXT NOT NULL, der BLOB NOT NULL, token BLOB,"
    " issued REAL NOT NULL, not_after REAL NOT NULL) STRICT",
    "CREATE INDEX certificates_of_node ON certificates (node, issued)",
    "CREATE TABLE addresses (v4 INTEGER PRIMARY KEY, node TEXT NOT NULL UNIQUE, held_until REAL NOT NULL) STRICT",
    "CREATE TABLE names (name TEXT PRIMARY KEY, node TEXT NOT NULL, held_until REAL NOT NULL) STRICT",
    "CREATE TABLE tokens (selector BLOB PRIMARY KEY, join_key BLOB NOT NULL, answer_key BLOB NOT NULL, secret TEXT,"
    " created REAL NOT NULL, expires REAL, max_uses INTEGER NOT NULL, uses INTEGER NOT NULL, tags TEXT NOT NULL,"
    " name TEXT, revoked REAL, CHECK (max_uses = 0 OR uses <= max_uses)) STRICT",
    "CREATE TABLE revocations (node TEXT PRIMARY KEY, object BLOB NOT NULL, time REAL NOT NULL) STRICT",
    JOURNAL,
)

_COLUMNS: Final = "selector, join_key, answer_key, secret, created, expires, max_uses, uses, tags, name, revoked"


class Register:
    """The ledger as the CA's decisions see it; implements `core.trust.admission.Register`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._parsed: dict[str, Certificate] = {}
        """By serial, those that `unexpired` told last: it is asked each second while the CA's key is replaced."""

    def newest_time(self) -> float:
        """Newest time the ledger ever saw."""
        return float(self._db.execute("SELECT value FROM meta WHERE key = 'newest_time'").fetchone()[0])

    def token(self, selector: bytes) -> TokenRecord | None:
        """The token with that selector."""
        row = self._db.execute(f"SELECT {_COLUMNS} FROM tokens WHERE selector = ?", (selector,)).fetchone()  # noqa: S608
        return _record(row) if row else None

    def tokens(self) -> list[TokenRecord]:
        """All tokens, oldest first."""
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM tokens ORDER BY created, selector")  # noqa: S608
        return [_record(row) for row in rows]

    def master_secret(self) -> str | None:
        """The master token in force."""
        row = self._db.execute("SELECT secret FROM tokens WHERE secret IS NOT NULL AND revoked IS NULL").fetchone()
        return row[0] if row else None

    def is_revoked(self, node: NodeId) -> bool:
        """True if the node is out for good."""
        return self._db.execute("SELECT 1 FROM revocations WHERE node = ?", (node,)).fetchone() is not None

    def newest_certificate(self, node: NodeId) -> Issued | None:
        """The node's last certificate."""
        row = self._db.execute(
            "SELECT der, token, not_after FROM certificates WHERE node = ? ORDER BY issued DESC, rowid DESC LIMIT 1",
            (node,),
        ).fetchone()
        return Issued(*row) if row else None

    def is_issued(self, serial: int) -> bool:
        """True if there is a certificate with that serial."""
        row = self._db.execute("SELECT 1 FROM certificates WHERE serial = ?", (f"{serial:x}",)).fetchone()
        return row is not None

    def issued_as(self, serial: int) -> bytes | None:
        """The certificate with that serial, in DER."""
        row = self._db.execute("SELECT der FROM certificates WHERE serial = ?", (f"{serial:x}",)).fetchone()
        return row[0] if row else None

    def unexpired(self, now: float) -> list[Certificate]:
        """Certificates that are good at `now` or later, of nodes that are not revoked; each is parsed once."""
        rows = self._db.execute(
            "SELECT serial FROM certificates WHERE not_after >= ? AND node NOT IN (SELECT node FROM revocations)",
            (now,),
        ).fetchall()
        self._parsed = {serial: self._parsed.get(serial) or self._parse(serial) for (serial,) in rows}
        return list(self._parsed.values())

    def _parse(self, serial: str) -> Certificate:
        row = self._db.execute("SELECT der FROM certificates WHERE serial = ?", (serial,)).fetchone()
        return parse(row[0])

    def take_step(self, step: str) -> bool:
        """True once in the ledger's life for each step of a replacement of the CA's key."""
        return self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, 1)", (f"ca-key.{step}",)).rowcount == 1

    def address_of(self, node: NodeId) -> IPv4Address | None:
        """The address held for the node."""
        row = self._db.execute("SELECT v4 FROM addresses WHERE node = ?", (node,)).fetchone()
        return IPv4Address(row[0]) if row else None

    def address_is_held(self, address: IPv4Address, now: float) -> bool:
        """True if some node holds the address at `now`."""
        row = self._db.execute("SELECT held_until FROM addresses WHERE v4 = ?", (int(address),)).fetchone()
        return row is not None and now < row[0]

    def name_holder(self, name: str, now: float) -> NodeId | None:
        """Who holds the name at `now`."""
        row = self._db.execute("SELECT node FROM names WHERE name = ? AND held_until > ?", (name, now)).fetchone()
        return NodeId(row[0]) if row else None

    def see_time(self, now: float) -> None:
        """Raise the ledger's newest time to `now`; it never falls."""
        self._db.execute("UPDATE meta SET value = max(value, ?) WHERE key = 'newest_time'", (now,))

    def use_token(self, token: TokenRecord) -> None:
        """Count one use; raises Conflict rather than one too many."""
        used = self._db.execute(
            "UPDATE tokens SET uses = uses + 1 WHERE selector = ? AND revoked IS NULL"
            " AND (max_uses = 0 OR uses < max_uses)",
            (token.keys.selector,),
        )
        if used.rowcount != 1:
            raise Conflict(f"token {token.token_id[:SHORT_ID]} was used up in between")

    def hold(self, admit: AdmitOwn) -> None:
        """Reserve address and names for the node, until 120 days after this certificate."""
        node, until = admit.node, admit.held_until
        v4 = int(admit.grant.addresses.v4)
        self._db.execute("DELETE FROM addresses WHERE v4 = ? OR node = ?", (v4, node))
        self._db.execute("INSERT INTO addresses VALUES (?, ?, ?)", (v4, node, until))
        for name in {admit.grant.name, admit.grant.host} - {None}:
            self._db.execute("INSERT OR REPLACE INTO names VALUES (?, ?, ?)", (name, node, until))

    def keep_certificate(self, der: bytes, selector: bytes | None, issued: float) -> int:
        """Store what was issued, for the token with that selector if for any; returns its serial."""
        certificate = parse(der)
        self._db.execute(
            "INSERT INTO certificates VALUES (?, ?, ?, ?, ?, ?)",
            (f"{certificate.serial:x}", certificate.node_id, der, selector, issued, certificate.not_after),
        )
        return certificate.serial

    def adopt(self, certificate: Certificate, held_until: float) -> None:
        """Store a certificate that this ledger issued and forgot; what others hold by now stays theirs."""
        node = certificate.node_id
        self._db.execute(
            "INSERT INTO certificates VALUES (?, ?, ?, NULL, ?, ?)",
            (f"{certificate.serial:x}", node, certificate.der, certificate.not_before, certificate.not_after),
        )
        self._db.execute(
            "INSERT INTO addresses VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (int(certificate.addresses.v4), node, held_until),
        )
        for name in {certificate.name, certificate.host} - {None}:
            self._db.execute("INSERT INTO names VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (name, node, held_until))

    def add_token(self, token: TokenRecord, secret: str | None = None) -> None:
        """Store a token; `secret` only for the master token. Raises Conflict if it is there already."""
        if self.token(token.keys.selector) is not None:
            raise Conflict("this token exists already.\nMake another: pulse token create")
        keys = token.keys
        self._db.execute(
            "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (
                *(keys.selector, keys.join, keys.answer, secret, token.created, token.expires),
                *(token.max_uses, token.uses, msgspec.json.encode(token.tags).decode(), token.name),
            ),
        )

    def revoke_token(self, token: TokenRecord, now: float) -> None:
        """Nobody joins with it any more."""
        self._db.execute("UPDATE tokens SET revoked = ? WHERE selector = ?", (now, token.keys.selector))

    def revoke_node(self, node: NodeId, data: bytes, now: float) -> None:
        """The node is out for good: its names are free, its address stays held."""
        self._db.execute("INSERT OR REPLACE INTO revocations VALUES (?, ?, ?)", (node, data, now))
        self._db.execute("DELETE FROM names WHERE node = ?", (node,))

    def reinstate_node(self, node: NodeId) -> None:
        """The node is in again."""
        self._db.execute("DELETE FROM revocations WHERE node = ?", (node,))

    def revocations(self) -> list[bytes]:
        """The signed objects, in their exact bytes."""
        return [row[0] for row in self._db.execute("SELECT object FROM revocations ORDER BY node")]

    def joined_with_master(self, node: NodeId) -> bool:
        """True if some certificate of the node was issued for a master token."""
        row = self._db.execute(
            "SELECT 1 FROM certificates JOIN tokens ON token = selector WHERE node = ? AND secret IS NOT NULL", (node,)
        ).fetchone()
        return row is not None

    def token_users(self) -> dict[bytes, list[NodeId]]:
        """Who joined with which token, by its selector; in the order in which they did."""
        users: dict[bytes, list[NodeId]] = {}
        rows = self._db.execute("SELECT token, node FROM certificates WHERE token IS NOT NULL ORDER BY issued, rowid")
        for selector, node in rows:
            if node not in (known := users.setdefault(selector, [])):
                known.append(NodeId(node))
        return users

    def claim_scribe(self, node: NodeId) -> bool:
        """True once in the ledger's life: the first claim."""
        claimed = self._db.execute("INSERT OR IGNORE INTO meta VALUES ('first_scribe', ?)", (node,))
        return claimed.rowcount == 1

    def first_scribe(self) -> NodeId | None:
        """Who made that claim."""
        row = self._db.execute("SELECT value FROM meta WHERE key = 'first_scribe'").fetchone()
        return NodeId(row[0]) if row else None


def _record(
    row: tuple[bytes, bytes, bytes, str | None, float, float | None, int, int, str, str | None, float],
) -> TokenRecord:
    selector, join, answer, secret, created, expires, max_uses, uses, tags, name, revoked = row
    return TokenRecord(
        TokenKeys(selector, join, answer),
        created=created,
        expires=expires,
        max_uses=max_uses,
        uses=uses,
        tags=msgspec.json.decode(tags, type=tuple[str, ...]),
        name=name,
        is_master=secret is not None,
        revoked=revoked,
    )
