"""Tokens service: scribe and operators ask the CA, and nobody else is answered."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pulse import clock
from pulse.core.messages import Wire, pack
from pulse.core.network.netconfig import Config, sign_config
from pulse.core.network.templates import Template
from pulse.core.trust.certificates import Certificate
from pulse.core.trust.invites import decode_invite
from pulse.core.trust.join import Floors
from pulse.core.trust.tokens import parse_token
from pulse.core.types import NodeId
from pulse.errors import LinkError, NotFound, ProtocolError, Refused
from pulse.schemas.tokens import TokenRequest
from pulse.services.ca import CaService
from pulse.services.tokens import INVITE_TTL, TokensService
from pulse.store.authority import HeldCa
from pulse.store.files import open_data_dir
from pulse.store.ledger import Ledger
from tests.authority import NOW, key, secret
from tests.fakes import FakeLinks
from tests.services.office import CA, CAM, FIRST, HOME, KEEPER, RELAY, Office
from tests.store.ledgers import join

HERE = "198.51.100.4:443"


class Asked(Wire, frozen=True):
    """The body of the RPC."""

    what: str
    body: bytes = b""


class Mesh:
    """The CA `keeper`, the scribe `home`, the operator `relay`, and `cam-7`, who is neither."""

    def __init__(self, office: Office, ledger: Ledger) -> None:
        self.office, self.reachable = office, True
        office.appoint(HOME, operators=frozenset({RELAY.node_id}))
        ca = CaService(FakeLinks(), HeldCa(CA.issuer, ledger), lambda: Floors(1, 0, 1), lambda: True, lambda: (HERE,))
        self.keeper = self.at(KEEPER, ca)
        self.ledger = ledger

    def knows(self, templates: dict[str, Template]) -> None:
        """The scribe's config has these templates."""
        config = Config(1, 1, FIRST.config.settings, templates=templates)
        self.office.hear(sign_config(CA.network, config, key("home")).data)

    def at(self, who: Certificate, ca: CaService | None = None) -> TokensService:
        office = self.office

        async def call(node: NodeId, method: str, body: bytes, _: float) -> bytes:
            assert (node, method) == (KEEPER.node_id, "tokens")
            if not self.reachable:
                raise LinkError("no link leads there")
            return await self.keeper.answer(who.node_id, body)

        return TokensService(who.node_id, office.statements, office.members, office.ca_nodes, ca, call)


@pytest.fixture
def mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mesh]:
    monkeypatch.setattr(clock, "wall", lambda: NOW)
    with Ledger.create(open_data_dir(tmp_path / "ca") / "ledger.sqlite", CA.network, NOW) as ledger:
        yield Mesh(Office(tmp_path / "data"), ledger)


async def test_a_clock_that_is_set_back_shows_no_token_as_better_than_the_ca_takes_it(mesh: Mesh) -> None:
    await mesh.keeper.create(TokenRequest(ttl=60.0))
    assert mesh.ledger.heartbeat(NOW + 3600)
    await mesh.keeper.create(TokenRequest(ttl=60.0))

    assert [each.state for each in await mesh.keeper.all() if not each.master] == ["expired", "good"]


@pytest.mark.parametrize("who", [HOME, RELAY], ids=["scribe", "operator"])
async def test_scribe_and_operators_make_list_and_end_tokens(mesh: Mesh, who: Certificate) -> None:
    there = mesh.at(who)
    made = await there.create(TokenRequest(60.0, 1, ["db"], "db-1"))
    invited = await there.invite(TokenRequest())
    ended = await there.revoke(made.info.id[:8])

    assert parse_token(made.token).ca_hash == CA.network.ca_hash
    assert (made.info.expires, made.info.tags, made.info.name) == (NOW + 60, ["db"], "db-1")
    assert decode_invite(invited.invite).addresses == (HERE,)
    states = {each.id: each.state for each in await there.all()}
    assert states == {made.info.id: "revoked", invited.info.id: "good"}
    assert ended.state == "revoked"


async def test_the_list_names_who_joined_with_a_token(mesh: Mesh) -> None:
    await mesh.keeper.create(TokenRequest())
    await mesh.keeper.create(TokenRequest())
    used, fresh = mesh.ledger.tokens()
    for name in ("home", "cam-7"):
        join(mesh.ledger, name, used)
    join(mesh.ledger, "home", used)

    found = {each.id: each.used_by for each in await mesh.at(HOME).all()}
    assert found == {used.token_id: ["home", "cam-7"], fresh.token_id: []}


async def test_an_invite_is_good_for_one_hour_and_one_machine_unless_said_otherwise(mesh: Mesh) -> None:
    usual = await mesh.keeper.invite(TokenRequest())
    asked = await mesh.keeper.invite(TokenRequest(ttl=60.0, max_uses=5, tags=["db"]))

    endless = await mesh.keeper.invite(TokenRequest(max_uses=0))

    assert endless.info.max_uses == 0
    assert INVITE_TTL == 3600
    assert (usual.info.expires, usual.info.max_uses) == (NOW + INVITE_TTL, 1)
    assert (asked.info.expires, asked.info.max_uses, asked.info.tags) == (NOW + 60, 5, ["db"])
    assert usual.addresses == [HERE]


async def test_the_state_of_a_token_is_what_it_would_open_now(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    terms = (TokenRequest(ttl=1.0), TokenRequest(), TokenRequest(max_uses=1), TokenRequest())
    ended, gone, used, good = [(await mesh.keeper.create(each)).info.id for each in terms]
    join(mesh.ledger, "home", next(each for each in mesh.ledger.tokens() if each.token_id == used))
    await mesh.keeper.revoke(gone)
    monkeypatch.setattr(clock, "wall", lambda: NOW + 1)

    states = {each.id: each.state for each in await mesh.keeper.all()}
    assert states == {ended: "expired", gone: "revoked", used: "used_up", good: "good"}


async def test_a_token_nobody_made_cannot_be_revoked(mesh: Mesh) -> None:
    with pytest.raises(NotFound):
        await mesh.keeper.revoke("ffffffff")


async def test_the_master_token_is_told_to_who_may(mesh: Mesh) -> None:
    with pytest.raises(NotFound, match="no master token"):
        await mesh.at(RELAY).master()
    mesh.ledger.set_master(secret("master"), NOW)

    assert parse_token((await mesh.at(RELAY).master()).token).secret == secret("master")


async def test_who_may_not_is_told_where_to_go_and_nobody_is_asked(mesh: Mesh) -> None:
    mesh.reachable = False
    with pytest.raises(
        Refused, match=rf"Run it on keeper \({KEEPER.node_id[:12]}\).*grant {CAM.node_id[:12]} operator"
    ):
        await mesh.at(CAM).all()


@pytest.mark.parametrize("what", ["create", "invite", "list", "revoke", "master"])
async def test_the_ca_answers_nobody_else(mesh: Mesh, what: str) -> None:
    with pytest.raises(Refused, match=r"cam-7 .* is no operator"):
        await mesh.keeper.answer(CAM.node_id, pack(Asked(what, b"{}")))
    assert mesh.ledger.tokens() == []


@pytest.mark.parametrize("body", [b"", b"\xc1", pack(Asked("create", b"[]")), pack(Asked("revoke", b"\xff"))])
async def test_nonsense_makes_no_token(mesh: Mesh, body: bytes) -> None:
    with pytest.raises(ProtocolError):
        await mesh.keeper.answer(HOME.node_id, body)
    assert mesh.ledger.tokens() == []


async def test_what_a_later_release_does_is_not_found(mesh: Mesh) -> None:
    with pytest.raises(NotFound, match="does not know how"):
        await mesh.keeper.answer(HOME.node_id, pack(Asked("frame")))


async def test_a_ca_out_of_reach_is_named(mesh: Mesh) -> None:
    mesh.reachable = False
    with pytest.raises(LinkError, match=r"CA, keeper .*which gave no answer: no link leads there"):
        await mesh.at(HOME).create(TokenRequest())


async def test_the_cas_refusal_is_heard_in_its_own_words(mesh: Mesh) -> None:
    with pytest.raises(Refused, match="name"):
        await mesh.at(HOME).create(TokenRequest(name="no name", max_uses=1))


TEMPLATES = {"web": Template(["web"], "web-*", 3600), "site": Template(["site"], uses=5)}


async def test_a_template_fills_in_what_is_not_said(mesh: Mesh) -> None:
    mesh.knows(TEMPLATES)
    made = await mesh.at(RELAY).create(TokenRequest(template="site", tags=["x"]))
    assert (made.info.tags, made.info.max_uses, made.info.expires) == (["site", "x"], 5, None)
    own = await mesh.at(RELAY).create(TokenRequest(60.0, 2, template="site"))
    assert (own.info.max_uses, own.info.expires) == (2, NOW + 60)
    assert (await mesh.at(RELAY).invite(TokenRequest(max_uses=0, template="site"))).info.max_uses == 0
    assert (await mesh.at(RELAY).create(TokenRequest(name="db-1"))).info.max_uses == 1
    invited = await mesh.at(RELAY).invite(TokenRequest(template="web"))
    assert (invited.info.name, invited.info.expires, invited.info.max_uses) == ("web-1", NOW + 3600, 1)


async def test_a_name_makes_a_token_one_for_one_machine_whatever_its_template_says(mesh: Mesh) -> None:
    mesh.knows(TEMPLATES)
    for make in (mesh.keeper.create, mesh.keeper.invite):
        assert (await make(TokenRequest(name="db-1", template="site"))).info.max_uses == 1
    with pytest.raises(Refused, match="is for one machine"):
        await mesh.keeper.create(TokenRequest(name="db-1", max_uses=5, template="site"))


async def test_names_by_a_template_are_free_ones(mesh: Mesh) -> None:
    mesh.knows({"cam": Template(name="cam-*"), "one": Template(name="cam-7")})
    names = [(await mesh.at(HOME).create(TokenRequest(template="cam"))).info.name for _ in range(7)]
    assert names == [f"cam-{number}" for number in (1, 2, 3, 4, 5, 6, 8)]
    ended = next(each for each in await mesh.keeper.all() if each.name == "cam-3")
    await mesh.keeper.revoke(ended.id)
    assert (await mesh.at(HOME).create(TokenRequest(template="cam"))).info.name == "cam-3"


async def test_a_template_gives_nothing_its_user_may_not_give(mesh: Mesh) -> None:
    mesh.knows({**TEMPLATES, "odd": Template(["not a tag"])})
    with pytest.raises(Refused, match="neither the scribe nor an operator"):
        await mesh.at(CAM).create(TokenRequest(template="web"))
    with pytest.raises(Refused, match="tag"):
        await mesh.at(HOME).create(TokenRequest(template="odd"))
    with pytest.raises(NotFound, match='no template "gone"'):
        await mesh.at(HOME).create(TokenRequest(template="gone"))
    assert mesh.ledger.tokens() == []
