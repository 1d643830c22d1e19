"""Whole nodes and their roles: the reference's "Home + relay" example, names everywhere, revocations at once."""

import asyncio
from collections.abc import Callable

import pytest
from msgspec import structs

from pulse.calls.acls import AclCalls
from pulse.calls.bulk import BulkCalls
from pulse.calls.ca import CaCalls
from pulse.calls.config import ConfigCalls
from pulse.calls.names import NameCalls
from pulse.calls.revoke import RevokeCalls
from pulse.calls.roles import RoleCalls
from pulse.calls.templates import TemplateCalls
from pulse.calls.tokens import TokenCalls
from pulse.client import Client
from pulse.errors import Conflict, LinkError, NotFound, PulseError, Refused
from pulse.schemas.bulk import BulkRequest
from pulse.schemas.config import ConfigWanted, TemplateRequest
from pulse.schemas.node import Status
from pulse.schemas.policy import RuleRequest
from pulse.schemas.roles import RoleRequest
from pulse.schemas.tokens import TokenRequest
from tests.loopback import PATIENCE
from tests.ports import free_port
from tests.test_node import Machine, first, place, second

__all__ = ["first", "place", "second"]

MASTER = "4f1e7a90c3d25b6884aa0b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4e5f6"
RELAY = {"ca": True, "network": "home", "token": MASTER}
HOME = {"scribe": True, "network": "home"}


@pytest.fixture
def third(second: Machine) -> Machine:
    return Machine("third", second.place, free_port())


async def shows(machine: Machine, so: Callable[[Status], bool]) -> Status:
    """Wait until the status of a machine's node is so."""
    async with asyncio.timeout(PATIENCE):
        while not so(status := await machine.ask(Client.status)):
            await asyncio.sleep(0.02)
    return status


def address(of: Machine) -> str:
    return f"127.0.0.1:{of.port}"


async def test_home_and_relay_as_the_reference_has_it(first: Machine, second: Machine) -> None:
    async with first.runs(**RELAY) as relay:
        await second.joins(token=MASTER, join=address(first))
        async with second.runs(address(first), **HOME) as home:
            named = await second.ask(lambda client: NameCalls(client).set_name(relay.node.id, "relay-01"))
            await second.ask(lambda client: NameCalls(client).set_name(home.node.id, "home-desktop"))
            tagged = await second.ask(lambda client: NameCalls(client).add_tag(relay.node.id, "infra"))
            seen = await shows(first, lambda status: status.peers[0].name == "home-desktop")
            (row,) = (await second.ask(Client.status)).peers
            who = await shows(first, lambda status: status.node.name == "relay-01")
            journal = await first.ask(lambda client: CaCalls(client).ca_log())

    assert (named.name, tagged.tags) == ("relay-01", ["infra"])
    assert (row.name, row.tags, row.roles) == ("relay-01", ["infra"], ["ca"])
    assert (seen.peers[0].roles, who.well) == (["scribe"], True)
    assert "first scribe claimed" in [each.event for each in journal]


async def test_names_outlive_a_restart_of_all(first: Machine, second: Machine) -> None:
    async with first.runs(**RELAY) as relay:
        await second.joins(token=MASTER, join=address(first))
        async with second.runs(address(first), **HOME):
            await second.linked_with(first)
            await second.ask(lambda client: NameCalls(client).set_name(relay.node.id, "relay-01"))
            await shows(first, lambda status: status.node.name == "relay-01")
    async with first.runs():
        status = await first.ask(Client.status)

    assert status.node.name == "relay-01"


async def test_names_are_edited_on_the_scribe_and_elsewhere_it_is_named(first: Machine, second: Machine) -> None:
    async with first.runs(**RELAY, scribe=True) as relay, second.runs(token=MASTER, join=address(first)):
        await shows(second, lambda status: any("scribe" in row.roles for row in status.peers))
        with pytest.raises(Refused, match=rf"Run it on first \({relay.node.id[:12]}\)"):
            await second.ask(lambda client: NameCalls(client).set_name("second", "box"))
        with pytest.raises(Conflict, match="second is the name of"):
            await first.ask(lambda client: NameCalls(client).set_name("first", "second"))
        await first.ask(lambda client: NameCalls(client).set_name("second", "box"))
        await shows(second, lambda status: status.node.name == "box")


async def test_a_second_scribe_is_refused_and_says_so_in_its_status(
    first: Machine, second: Machine, third: Machine
) -> None:
    async with first.runs(**RELAY, scribe=True), second.runs(address(first), token=MASTER, **HOME):
        status = await shows(second, lambda status: "is the scribe of this network already" in status.sentence)
        with pytest.raises(Refused, match="Run it on first"):
            await second.ask(lambda client: NameCalls(client).add_tag("first", "infra"))

    assert not status.well


async def test_who_joined_by_an_invite_does_not_become_the_scribe_by_itself(first: Machine, second: Machine) -> None:
    async with first.runs(ca=True, network="home") as relay, second.runs(relay.invite, scribe=True):
        status = await shows(second, lambda status: "master token" in status.sentence)
        with pytest.raises(Refused, match="no scribe"):
            await second.ask(lambda client: NameCalls(client).set_name("first", "relay-01"))

    assert not status.well


async def test_a_revoked_node_is_out_everywhere_and_gets_no_certificate(
    first: Machine, second: Machine, third: Machine
) -> None:
    async with (
        first.runs(**RELAY) as relay,
        second.runs(address(first), token=MASTER, **HOME),
        third.runs(address(first), address(second), token=MASTER) as guest,
    ):
        await second.ask(lambda client: NameCalls(client).set_name(relay.node.id, "relay-01"))
        await second.linked_with(third)
        with pytest.raises(Refused, match="neither the CA nor the scribe"):
            await third.ask(lambda client: RevokeCalls(client).revoke("second"))
        with pytest.raises(Refused, match="last CA"):
            await first.ask(lambda client: RevokeCalls(client).revoke("relay-01"))
        told = await second.ask(lambda client: RevokeCalls(client).revoke("third"))
        for machine in (first, second):
            await shows(machine, lambda status: guest.node.id not in [row.id for row in status.peers])
        with pytest.raises((Refused, LinkError, NotFound)):
            await second.ask(lambda client: client.ping(guest.node.id, 1.0))

    assert (told.id, told.by) == (guest.node.id, "scribe")
    async with first.runs():
        with pytest.raises(PulseError, match="revoked already"):
            await first.ask(lambda client: RevokeCalls(client).revoke(guest.node.id))


async def test_a_newcomer_has_the_names_from_the_member_it_joined_by(
    first: Machine, second: Machine, third: Machine
) -> None:
    async with first.runs(**RELAY), second.runs(address(first), token=MASTER, **HOME) as home:
        await second.ask(lambda client: NameCalls(client).set_name("second", "home-desktop"))
        async with third.runs(address(second), token=MASTER):
            status = await shows(third, lambda status: "home-desktop" in [row.name for row in status.peers])

    assert home.node.id in [row.id for row in status.peers]


async def test_an_operator_edits_and_revokes_from_where_it_is(first: Machine, second: Machine, third: Machine) -> None:
    async with (
        first.runs(**RELAY, scribe=True),
        second.runs(address(first), token=MASTER, network="home"),
        third.runs(address(first), token=MASTER) as guest,
    ):
        await shows(second, lambda status: len(status.peers) == 2)
        await first.ask(lambda client: RoleCalls(client).grant(RoleRequest("second", "operator")))
        await shows(second, lambda status: status.node.roles == ["operator"])
        named = await second.ask(lambda client: NameCalls(client).set_name("third", "guest"))
        seen = (await second.ask(Client.status)).peers
        with pytest.raises(Conflict, match="guest is the name of"):
            await second.ask(lambda client: NameCalls(client).set_name("first", "guest"))
        ruled = await second.ask(lambda client: AclCalls(client).add_rule(RuleRequest(source="guest", destination="*")))
        policy = await first.ask(lambda client: AclCalls(client).policy())
        whole = ConfigWanted(await second.ask(lambda client: ConfigCalls(client).config_file()))
        planned = await second.ask(lambda client: ConfigCalls(client).plan_config(whole))
        without = ConfigWanted(structs.replace(whole.file, acl=[]), force=True)
        with pytest.raises(Refused, match=r"no rules are left of 1.*\n.*--force"):
            await second.ask(
                lambda client: ConfigCalls(client).apply_config(ConfigWanted(without.file), planned.version)
            )
        with pytest.raises(Conflict, match="by now"):
            await second.ask(lambda client: ConfigCalls(client).apply_config(without, "1.1"))
        applied = await second.ask(lambda client: ConfigCalls(client).apply_config(without, planned.version))
        await second.ask(
            lambda client: TemplateCalls(client).set_template(TemplateRequest("web", ["web"], "web-*", "4h"))
        )
        minted = await second.ask(lambda client: TokenCalls(client).create_token(TokenRequest(template="web")))
        told = await second.ask(lambda client: RevokeCalls(client).revoke("guest"))
        await shows(first, lambda status: guest.node.id not in [row.id for row in status.peers])
        await first.ask(lambda client: RoleCalls(client).ungrant("second", "operator"))
        await shows(second, lambda status: status.node.roles == [])
        with pytest.raises(Refused, match="neither the scribe"):
            await second.ask(lambda client: NameCalls(client).add_tag("first", "infra"))
        with pytest.raises(Refused, match="neither the scribe"):
            await second.ask(lambda client: BulkCalls(client).bulk(BulkRequest("*", "tag", "infra")))
        journal = [each.event for each in await first.ask(lambda client: CaCalls(client).ca_log())]

    assert "guest" in [row.name for row in seen if row.id == named.id]
    assert policy.rules == [ruled.rule]
    assert (minted.info.tags, minted.info.name, minted.info.max_uses) == (["web"], "web-1", 1)
    assert (planned.changes, applied.opens, [each.section for each in applied.changes]) == ([], True, ["acl"])
    assert (told.id, told.by) == (guest.node.id, "scribe")
    assert [each for each in journal if each.startswith("role ")] == ["role granted", "role taken"]


async def test_a_lost_scribe_is_replaced_by_one_command_and_writes_no_more(
    first: Machine, second: Machine, third: Machine
) -> None:
    async with (
        first.runs(**RELAY),
        second.runs(address(first), token=MASTER, **HOME),
        third.runs(address(first), token=MASTER) as heir,
    ):
        await shows(third, lambda status: any(row.roles == ["scribe"] for row in status.peers))
        await shows(second, lambda status: heir.node.id in [row.id for row in status.peers])
        await second.ask(lambda client: NameCalls(client).set_name(heir.node.id, "heir"))
        await shows(first, lambda status: "heir" in [row.name for row in status.peers])
        await first.ask(lambda client: RoleCalls(client).grant(RoleRequest("heir", "scribe")))
        await shows(third, lambda status: status.node.roles == ["scribe"])
        await third.ask(lambda client: NameCalls(client).set_name("second", "retired"))
        status = await shows(second, lambda status: status.node.name == "retired")
        with pytest.raises(Refused, match="Run it on heir"):
            await second.ask(lambda client: NameCalls(client).add_tag("first", "infra"))

    assert status.node.roles == []


async def test_whom_a_stolen_scribe_revoked_is_back_once_it_is_replaced(
    first: Machine, second: Machine, third: Machine
) -> None:
    async with (
        first.runs(**RELAY),
        second.runs(address(first), token=MASTER, **HOME),
        third.runs(address(first), address(second), token=MASTER) as victim,
    ):
        await shows(second, lambda status: status.node.roles == ["scribe"])
        await second.linked_with(third)
        await second.ask(lambda client: RevokeCalls(client).revoke(victim.node.id))
        await shows(first, lambda status: victim.node.id not in [row.id for row in status.peers])
        await shows(third, lambda status: all(row.link == "-" for row in status.peers))
        told = await first.ask(lambda client: RoleCalls(client).roles())
        await first.ask(
            lambda client: RoleCalls(client).grant(RoleRequest("first", "scribe", reinstate=[victim.node.id]))
        )
        await first.linked_with(third)
        await second.linked_with(third)
        await second.ask(lambda client: client.ping(victim.node.id, 5.0))

    assert [each.id for each in told.revoked_by_scribe] == [victim.node.id]
