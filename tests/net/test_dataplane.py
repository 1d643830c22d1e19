"""The adapter over the real data plane, on loopback: what one node asks, the other is told as a fact."""

import asyncio
import errno
import os
import socket

import pytest

from pulse.core import facts
from pulse.core.effects import Hop, TablesChanged
from pulse.core.facts import DialFailed, LinkDown, LinkUp, MessageReceived, PathSuspected, SessionUp
from pulse.core.types import LinkId, NodeId
from pulse.errors import LinkError, SystemRefused
from pulse.net.dataplane import DataplaneLinks, Lane
from tests.authority import Ca
from tests.authority import node as node_of
from tests.loopback import CA, PATIENCE, Node, node, owners, plane, showing
from tests.namespace import inside, ip, namespace
from tests.people import NOBODY, run_as

STRANGER_CA = Ca("other ca", made=CA.made)


async def answer_one(door: Node, answer: bytes) -> bytes:
    """Answer the next join request; what it asked."""
    offer = await door.links.wait_offer()
    assert offer.source.startswith("127.0.0.1:")
    door.links.answer_join(offer.offer, answer)
    return offer.request


async def serve_one(node: Node) -> tuple[str, bytes]:
    """Answer the next request with its own words in capitals; who asked what."""
    request = await node.links.wait_request()
    node.links.respond(request.request, request.payload.upper())
    return request.node, request.payload


# The join lane


async def test_a_pinned_join_lane_shows_its_certificate_and_objects_and_passes_on_the_answer() -> None:
    with node("door") as door, node("joiner", 2) as joiner:
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(answer_one(door, b"welcome"))
            lane = await joiner.links.join(door.address, pinned=True)
            answer = await lane.send(b"may I?")

    assert (lane.leaf, lane.objects) == (door.me.der, showing())
    assert (asked.result(), answer) == (b"may I?", b"welcome")


async def test_a_plain_join_lane_shows_a_throw_away_certificate_and_no_objects() -> None:
    with node("door") as door, node("joiner", 2) as joiner:
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            tasks.create_task(answer_one(door, b"welcome"))
            lane = await joiner.links.join(door.address, pinned=False)
            answer = await lane.send(b"may I?")

    assert lane.leaf not in (b"", door.me.der)
    assert b"pulse://" not in lane.leaf
    assert (lane.objects, answer) == (b"", b"welcome")


async def test_an_empty_answer_hangs_up_on_the_joiner() -> None:
    with node("door") as door, node("joiner", 2) as joiner:
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            tasks.create_task(answer_one(door, b""))
            lane = await joiner.links.join(door.address, pinned=True)
            with pytest.raises(LinkError):
                await lane.send(b"garbage")


async def test_a_door_that_cannot_be_is_an_error_of_the_link() -> None:
    with node("joiner") as joiner, pytest.raises(LinkError):
        async with asyncio.timeout(PATIENCE):
            await joiner.links.join("127.0.0.1:0", pinned=True)


async def test_a_lane_that_ended_before_the_request_says_so_instead_of_waiting() -> None:
    with plane("joiner") as joiner:
        lane = Lane(joiner.raw, 1, asyncio.get_running_loop().create_future())
        lane.happened("quic", b"leaf", b"objects")
        await lane.opened()
        lane.failed("broken", "the other side hung up")
        with pytest.raises(LinkError, match="hung up"):
            async with asyncio.timeout(PATIENCE):
                await lane.send(b"may I?")


# Links


async def test_a_link_comes_up_on_both_sides_with_certificate_and_hello() -> None:
    with node("alice") as alice, node("bob", 2) as bob:
        dial = alice.links.dial(bob.address, bob.me.node_id)
        ours, theirs = await alice.told(LinkUp), await bob.told(LinkUp)

    assert (ours.dial, theirs.dial) == (dial, 0)
    assert (ours.node, ours.certificate) == (bob.me.node_id, bob.me.der)
    assert (theirs.node, theirs.certificate) == (alice.me.node_id, alice.me.der)
    assert (ours.observed, theirs.observed) == (bob.address, alice.address)
    assert ours.transport == theirs.transport == "quic"
    assert (ours.hello.version, len(ours.hello.boot), len(ours.hello.revocations)) == (1, 16, 32)
    assert ours.hello.boot != theirs.hello.boot
    assert abs(ours.hello.clock - CA.made) < 3600


async def test_messages_go_both_ways_over_a_link_and_a_link_that_is_gone_takes_none() -> None:
    with node("alice") as alice, node("bob", 2) as bob:
        link = await alice.link_with(bob)
        assert alice.links.send(link.link, b"hello")
        heard = await bob.told(MessageReceived)
        assert bob.links.send(heard.link, b"hello yourself")

        assert heard.payload == b"hello"
        assert await alice.told(MessageReceived) == MessageReceived(link.link, b"hello yourself")
        assert not alice.links.send(LinkId(999_999), b"hello")


async def test_a_closed_link_is_down_on_both_sides_with_the_reason() -> None:
    with node("alice") as alice, node("bob", 2) as bob:
        link = await alice.link_with(bob)
        alice.links.close_link(link.link, "enough")

        assert await alice.told(LinkDown) == LinkDown(link.link, bob.me.node_id, "enough")
        assert "enough" in (await bob.told(LinkDown)).reason


async def test_what_a_peer_says_at_parting_cannot_turn_a_line_round() -> None:
    with node("alice") as alice, node("bob", 2) as bob:
        link = await alice.link_with(bob)
        alice.links.close_link(link.link, "eno\u202eugh")

        assert (await bob.told(LinkDown)).reason.endswith("eno\N{REPLACEMENT CHARACTER}ugh")


async def test_a_stranger_of_another_ca_is_refused_and_nobody_has_a_link() -> None:
    with node("alice") as alice, node("stranger", 2, STRANGER_CA) as stranger:
        alice.links.dial(stranger.address, None)
        stranger.links.dial(alice.address, None)

        for failed in (await alice.told(DialFailed), await stranger.told(DialFailed)):
            assert failed.code in ("certificate", "refused")
            assert failed.detail
        assert (alice.links.sample(), stranger.links.sample()) == ((), ())


async def test_another_node_than_the_expected_one_is_refused() -> None:
    with node("alice") as alice, node("bob", 2) as bob:
        dial = alice.links.dial(bob.address, node_of("carol"))
        failed = await alice.told(DialFailed)

    assert (failed.dial, failed.code) == (dial, "certificate")


async def test_a_revoked_node_is_refused() -> None:
    with node("mallory", 2) as mallory, node("alice", revoked=(mallory.me.node_id,)) as alice:
        mallory.links.dial(alice.address, None)

        assert (await mallory.told(DialFailed)).code == "refused"
        assert alice.links.sample() == ()


# Sessions


async def test_a_request_is_answered_end_to_end_by_the_verified_node() -> None:
    with node("alice") as alice, node("bob", 2) as bob:
        await alice.link_with(bob)
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            served = tasks.create_task(serve_one(bob))
            answer = await alice.links.request(bob.me.node_id, b"hello", PATIENCE)

        assert (served.result(), answer) == ((alice.me.node_id, b"hello"), b"HELLO")
        assert await alice.told(SessionUp) == SessionUp(bob.me.node_id)


async def test_a_session_that_is_closed_is_told_to_both_and_the_next_request_opens_another() -> None:
    with node("alice") as alice, node("bob", 2) as bob:
        await alice.link_with(bob)
        for _ in range(2):
            async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
                tasks.create_task(serve_one(bob))
                assert await alice.links.request(bob.me.node_id, b"hello", PATIENCE) == b"HELLO"
            alice.links.close_session(bob.me.node_id, "over")
            assert (await bob.told(facts.SessionDown)).node == alice.me.node_id


async def test_a_request_nobody_answers_ends_when_its_time_is_over() -> None:
    with node("alice") as alice, node("bob", 2) as bob:
        await alice.link_with(bob)
        with pytest.raises(LinkError, match="no answer"):
            await alice.links.request(bob.me.node_id, b"hello", 0.3)


async def test_a_node_no_link_leads_to_cannot_be_asked() -> None:
    with node("alice") as alice, pytest.raises(LinkError, match="no way leads there"):
        async with asyncio.timeout(PATIENCE):
            await alice.links.request(node_of("nobody"), b"hello", PATIENCE)


# Paths


async def test_a_relay_that_carries_nothing_is_told_shown_and_left_for_another_way() -> None:
    with node("alice") as alice, node("bob", 2) as bob, node("rita", 3) as rita:
        relayed, direct = await alice.link_with(rita), await alice.link_with(bob)
        bobs = bob.me.node_id
        assert alice.links.paths() == []
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            tasks.create_task(serve_one(bob))
            await alice.links.request(bobs, b"straight", PATIENCE)
        ways = {bob.me.addresses.v4: (Hop(relayed.link, 1), Hop(direct.link, 0))}
        alice.links.replace_tables(TablesChanged(ways, owners(alice.me) + owners(bob.me)))
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            tasks.create_task(serve_one(bob))
            assert await alice.links.request(bobs, b"around", PATIENCE) == b"AROUND"

        assert await alice.told(PathSuspected) == PathSuspected(bobs, relayed.link, suspect=True)
        shown = next(path for path in alice.links.paths() if path.link == relayed.link)
        assert (shown.node, shown.rtt, shown.suspect) == (bobs, None, True)
        assert shown.loss > 0


# Figures


async def test_links_peers_and_drops_are_counted() -> None:
    with node("alice") as alice, node("bob", 2) as bob:
        link = await alice.link_with(bob)

        assert [each.link for each in alice.links.sample()] == [link.link]
        assert bob.me.node_id in {each.node for each in alice.links.traffic()}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
            host, port = alice.address.split(":")
            noise.sendto(b"\x01 is nobody's first byte", (host, int(port)))
        async with asyncio.timeout(PATIENCE):
            while not alice.links.drops()["unknown_kind"]:
                await asyncio.sleep(0)
        assert alice.links.drops()["unknown_kind"] == 1


async def test_tables_without_anybody_are_fine() -> None:
    with node("alice") as alice:
        alice.links.replace_tables(TablesChanged({}, ()))

        assert alice.links.traffic() == []


# The TUN device


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            errno.EPERM,
            "this user lacks CAP_NET_ADMIN. Run it as a service (pulse install-service), with sudo, or without --tun",
        ),
        (errno.EACCES, "this user lacks CAP_NET_ADMIN"),
        (errno.ENOENT, "there is no /dev/net/tun. Load it (modprobe tun), or run without --tun"),
        (errno.ENODEV, "there is no /dev/net/tun"),
        (errno.ENXIO, "there is no /dev/net/tun"),
        (errno.EBUSY, "another program uses it. Stop that, or choose a name: [tun] name"),
        (errno.ENOMEM, "Cannot allocate memory. Run it without --tun"),
    ],
)
async def test_each_refusal_of_the_device_says_what_is_missing_and_what_to_do(code: int, words: str) -> None:
    class Refusing:
        def attach_tun(self, name: str, queues: int) -> str:
            raise OSError(code, os.strerror(code))

    with socket.socket() as unused, pytest.raises(SystemRefused) as refused:
        DataplaneLinks(Refusing(), unused).attach_tun("pulse0", 1)  # type: ignore[arg-type]
    assert str(refused.value).startswith("cannot create pulse0: ")
    assert words in str(refused.value)


async def test_a_device_another_program_holds_is_refused_and_one_of_our_own_comes_and_goes() -> None:
    with namespace() as name, node("alice") as alice, node("bob", 2) as bob, inside(name):
        assert alice.links.attach_tun("pulse0", 1) == "pulse0"
        with pytest.raises(SystemRefused, match="another program uses it"):
            bob.links.attach_tun("pulse0", 1)
        alice.links.detach_tun()
        assert bob.links.attach_tun("pulse%d", 2) == "pulse0"


async def test_a_device_somebody_deletes_is_told() -> None:
    with namespace() as name, node("alice") as alice:
        with inside(name):
            alice.links.attach_tun("pulse0", 1)
        ip(name, "link", "delete", "pulse0")
        async with asyncio.timeout(PATIENCE):
            assert await alice.links.wait_tun_gone()


def test_a_user_without_rights_is_told_what_they_lack() -> None:
    imports = "import asyncio\nfrom pulse.errors import PulseError\nfrom pulse.net.dataplane import DataplaneLinks\n"
    imports += "import encodings.idna\nfrom pulse.net.sockets import bind_udp\n"
    code = """
async def attach():
    links = DataplaneLinks.start(bind_udp("127.0.0.1", 0).detach())
    try:
        links.attach_tun("pulse0", 1)
    except PulseError as error:
        print(type(error).__name__, error)
    links.close()
asyncio.run(attach())
"""
    done = run_as(NOBODY, imports, code)

    assert done.stdout.startswith("SystemRefused cannot create pulse0: this user lacks CAP_NET_ADMIN"), done.stderr


# Roaming


async def test_a_link_lives_on_when_the_socket_has_other_addresses() -> None:
    with node("alice") as alice, node("bob", 2) as bob:
        up = await alice.link_with(bob)
        for host in ("", "127.0.0.1"):
            alice.links.rebind(host)
            assert alice.links.send(up.link, b"from elsewhere")
            assert (await bob.told(MessageReceived)).payload == b"from elsewhere"
        assert alice.links.port == int(alice.address.rpartition(":")[2])
        with pytest.raises(SystemRefused, match="cannot listen on"):
            alice.links.rebind("203.0.113.9")
        assert alice.links.relayed() == 0


async def test_links_that_leave_from_another_address_or_find_no_route_are_told_once_each() -> None:
    with namespace() as name, inside(name):
        ip(name, "link", "set", "lo", "up")
        with node("alice") as alice, node("bob", 2) as bob:
            up = await alice.link_with(bob)
            assert alice.links.moved() == ()
            for change in ("local 127.0.0.1 dev lo src 127.0.0.2", "unreachable 127.0.0.1"):
                ip(name, "route", "replace", *change.split(), "table", "local")
                assert alice.links.moved() == (up.link,)
                assert alice.links.moved() == ()


async def test_where_a_neighbour_is_seen_by_now_is_a_fact() -> None:
    class Saying:
        def drain(self) -> list[tuple[object, ...]]:
            return [("LinkMoved", 7, bytes(32), "192.0.2.1:443")]

    with socket.socket() as unused:
        links = DataplaneLinks(Saying(), unused)  # type: ignore[arg-type]
        links._drain()

    assert await links.wait_facts() == [facts.LinkMoved(LinkId(7), NodeId("00" * 32), "192.0.2.1:443")]


# Its own log


async def test_what_the_data_plane_says_is_logged_and_a_refused_certificate_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Saying:
        def drain(self) -> list[tuple[object, ...]]:
            return [("Log", 30, "something odd"), ("Log", 20, "refused a link: x"), ("Log", 10, "refused a link: y")]

    with socket.socket() as unused:
        DataplaneLinks(Saying(), unused, refused=(told := []).append)._drain()  # type: ignore[arg-type, var-annotated]
    assert (caplog.messages[0], told) == ("something odd", ["refused a link: x"])
