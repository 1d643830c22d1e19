"""Join tokens, typed at any node that may: kept on the CA, which answers scribe and operators elsewhere.

Invariant: a token's text is told once, to whoever asked for it, over a session that nobody in between reads.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import msgspec
from msgspec import structs

from pulse.core.likeness import meant
from pulse.core.messages import MethodName, Wire, pack, printable, unpack
from pulse.core.network.statements import Statements
from pulse.core.network.templates import Template, free_name
from pulse.core.trust.members import Members
from pulse.core.trust.tokens import TokenRecord, Unfit
from pulse.core.types import SHORT_ID, NodeId, ShortText
from pulse.errors import LinkError, NotFound, ProtocolError, Refused
from pulse.net.links import CLIENT_PATIENCE, Rpc
from pulse.schemas.tokens import Invite, MasterToken, TokenCreated, TokenInfo, TokenRequest

log = logging.getLogger(__name__)

INVITE_TTL = 3600.0
"""Seconds an invite is good for unless said otherwise: long enough to walk to the other machine."""

MOST_SHOWN: Final = 64
"""Nodes named of those that joined with one token, the latest ones."""

_STATES = {None: "good", Unfit.EXPIRED: "expired", Unfit.USED_UP: "used_up", Unfit.REVOKED: "revoked"}
_T = TypeVar("_T")


class _Asked(Wire, frozen=True):
    """The body of the RPC `tokens`: what to do, and the JSON of what it is done with."""

    what: ShortText
    body: bytes = b""


_asked = msgspec.msgpack.Decoder(_Asked)
_ASKED_LIMIT: Final = 64 * 1024


class Authority(Protocol):
    """What this service asks of the CA on this node."""

    def create_token(self, wanted: TokenRequest) -> tuple[str, TokenRecord]: ...
    def invite(self, wanted: TokenRequest) -> tuple[str, TokenRecord]: ...
    def invite_addresses(self) -> Sequence[str]: ...
    def judged(self) -> float: ...
    def tokens(self) -> list[TokenRecord]: ...
    def token_users(self) -> Mapping[str, Sequence[NodeId]]: ...
    def revoke_token(self, prefix: str) -> TokenRecord: ...
    def master_token(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class TokensService:
    """One node as a place to make and end tokens from."""

    me: NodeId
    statements: Statements
    members: Members
    ca_nodes: Callable[[], frozenset[NodeId]]
    ca: Authority | None
    """On the CA."""
    call: Rpc

    async def create(self, wanted: TokenRequest) -> TokenCreated:
        """Make a token.

        Raises Refused, Conflict, SystemRefused for the CA's disk, or LinkError if the CA is out of reach.
        """
        if self.ca is None:
            return await self._ask("create", wanted, TokenCreated)
        text, record = self.ca.create_token(self._filled(wanted, self.ca))
        return TokenCreated(text, self._info(self.ca, record))

    async def invite(self, wanted: TokenRequest) -> Invite:
        """Make an invite, which names the CA's addresses. Raises the same."""
        if self.ca is None:
            return await self._ask("invite", wanted, Invite)
        wanted = self._filled(wanted, self.ca)
        ttl = INVITE_TTL if wanted.ttl is None else wanted.ttl
        text, record = self.ca.invite(TokenRequest(ttl, wanted.uses(1), wanted.tags, wanted.name))
        return Invite(text, list(self.ca.invite_addresses()), self._info(self.ca, record))

    async def all(self) -> list[TokenInfo]:
        """Every token, oldest first. Raises the same."""
        if self.ca is None:
            return await self._ask("list", None, list[TokenInfo])
        users = self.ca.token_users()
        return [self._info(self.ca, record, users.get(record.token_id, ())) for record in self.ca.tokens()]

    async def revoke(self, prefix: str) -> TokenInfo:
        """End a token. Raises NotFound, or the same."""
        if self.ca is None:
            return await self._ask("revoke", prefix, TokenInfo)
        record = self.ca.revoke_token(prefix)
        return self._info(self.ca, record, self.ca.token_users().get(record.token_id, ()))

    async def master(self) -> MasterToken:
        """The token the CA always accepts. Raises NotFound if it has none, or the same."""
        if self.ca is None:
            return await self._ask("master", None, MasterToken)
        token = self.ca.master_token()
        if token is None:
            raise NotFound(
                "this CA has no master token. Make a token for the next machine: pulse token create --ttl 1h"
            )
        return MasterToken(token)

    async def answer(self, caller: NodeId, body: bytes) -> bytes:
        """The RPC `tokens`, on the CA, for scribe and operators. Raises what the methods raise, or ProtocolError."""
        called = self.members.named(caller)
        self.statements.roles.check_editor(caller, self.ca_nodes(), called, "so the CA shows it no tokens.")
        asked = unpack(_asked, body, "tokens wanted", _ASKED_LIMIT)
        log.info("tokens asked for", extra={"node": caller[:SHORT_ID], "what": asked.what[:16]})
        return msgspec.json.encode(await self._done(asked))

    # Details

    async def _done(self, asked: _Asked) -> object:
        match asked.what:
            case "create":
                return await self.create(_read(asked.body, TokenRequest))
            case "invite":
                return await self.invite(_read(asked.body, TokenRequest))
            case "list":
                return await self.all()
            case "revoke":
                return await self.revoke(_read(asked.body, str))
            case "master":
                return await self.master()
            case _:
                raise NotFound("the CA's release of pulse does not know how to do that with tokens")

    def _filled(self, wanted: TokenRequest, ca: Authority) -> TokenRequest:
        """The token that is wanted, with what its template says and nobody said otherwise."""
        if wanted.template is None:
            return structs.replace(wanted, max_uses=_uses(wanted, None, wanted.name))
        templates = self.statements.config_in_force().config.templates
        template = templates.get(wanted.template)
        if template is None:
            near = meant(wanted.template, templates)
            raise NotFound(f'there is no template "{printable(wanted.template)}".{near} See them: pulse template list')
        name = wanted.name or (free_name(template.name, self._taken(ca).__contains__) if template.name else None)
        return TokenRequest(
            ttl=template.ttl if wanted.ttl is None else wanted.ttl,
            max_uses=_uses(wanted, template, name),
            tags=[*dict.fromkeys((*template.tags, *wanted.tags))],
            name=name,
        )

    def _taken(self, ca: Authority) -> set[str]:
        """Names that nodes have, or will have by tokens that are still good."""
        now = ca.judged()
        names = {each.name for each in ca.tokens() if each.unfit(now) is None}
        names |= {name for each in self.members.all() for name in (each.name, each.host)}
        return {name for name in names if name} | {*self.statements.naming().names.values()}

    async def _ask(self, what: str, body: object, kind: type[_T]) -> _T:
        cas = sorted(self.ca_nodes())
        if not cas or not self.statements.roles.may_edit(self.me, cas):
            raise Refused(
                "tokens live on the CA, and this node is neither the scribe nor an operator.\n"
                f"Run it on {self.members.named(cas[0]) if cas else 'the CA'}, or make this node an operator there: "
                f"pulse ca grant {self.me[:SHORT_ID]} operator"
            )
        content = b"" if body is None else msgspec.json.encode(body)
        try:
            answer = await self.call(cas[0], MethodName.TOKENS, pack(_Asked(what, content)), CLIENT_PATIENCE)
        except LinkError as error:
            raise LinkError(
                f"tokens live on the CA, {self.members.named(cas[0])}, which gave no answer: {error}"
            ) from error
        return _read(answer, kind)

    def _info(self, ca: Authority, record: TokenRecord, users: Sequence[NodeId] = ()) -> TokenInfo:
        return TokenInfo(
            id=record.token_id,
            created=record.created,
            expires=record.expires,
            max_uses=record.max_uses,
            uses=record.uses,
            tags=list(record.tags),
            name=record.name,
            master=record.is_master,
            state=_STATES[record.unfit(ca.judged())],
            used_by=[self.members.label_of(node) for node in users[-MOST_SHOWN:]],
        )


def _uses(wanted: TokenRequest, template: Template | None, name: str | None) -> int | msgspec.UnsetType:
    """Machines that may join with it; not set where neither its maker nor a name nor the template says so."""
    if wanted.max_uses is not msgspec.UNSET:
        return wanted.max_uses
    if name:
        return 1
    if template and template.uses:
        return template.uses
    return msgspec.UNSET


def _read(data: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"undecodable tokens: {error}") from error
