"""The reference's "Database access across sites", as people type it, with a real PostgreSQL.

Invariant: what is typed is what the reference has, except that libpq knows no SOCKS: where there is no TUN device, a
port of the machine leads to the database. The tests follow one another: rules stay.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pulse.errors import Refused
from pulse.lab.host import Output, Running, wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import joined
from tests.e2e.machine import Machine
from tests.e2e.mesh import PATIENCE, Node
from tests.e2e.postgres import has_psql, postgres
from tests.e2e.typed import serves, types
from tests.namespace import require_root

TOKEN = "3f8a61d2c94be075" * 4
SERVER = f"pulse --ca --scribe --tun --network corp --token {TOKEN} --addr {{server}} --listen :8443"
MEMBER = f"pulse --network corp --token {TOKEN} {{server}}"
PSQL = "psql -h db-server.pulse -U app"
ASKED = " -Atc 'select current_user, 6 * 7'"
ANSWER = "app|42\n"
FORWARD = "pulse forward --node db-server --dest localhost:5432 --local 127.0.0.1:15432"
FORWARDED = "psql -h 127.0.0.1 -p 15432 -U app"
TLS_ASKED = (
    # After it comes what PostgreSQL does not take, so that it ends the connection.
    r"printf '\0\0\0\010\004\322\026\057\0\0\0\010\0\0\0\0' |"
    " curl -sN -m 20 --socks5-hostname 127.0.0.1:1080 telnet://db-server.pulse:5432 | head -c 1"
)
TAGS = ("pulse tag db-server db", "pulse tag web-1 backend")
RULES = (
    'pulse acl add --from "tag:backend" --to "tag:db" --ports 5432',
    'pulse acl add --from "*" --to "tag:db" --deny',
)


@dataclass(frozen=True, slots=True)
class Sites:
    """The database's machine, one of the backend that asks for names, and a laptop without a TUN device."""

    server: Node
    web: Node
    laptop: Node

    def ordered(self, *lines: str) -> None:
        """Type an operator's lines, and wait until all machines go by them."""
        assert [done for done in (types(self.server, line) for line in lines) if done.code] == []
        wanted = self.server.config
        others = (self.web, self.laptop)
        wait_until(lambda: {each.config for each in others} == {wanted}, f"{wanted} is all over", PATIENCE)


@pytest.fixture(scope="module")
def sites() -> Iterator[Sites]:
    require_root()
    with Lab(joined(("db-server", "web-1", "laptop"))) as lab, postgres(lab["db-server"], "app"):
        web, laptop = Machine.on(lab["web-1"]), Machine.on(lab["laptop"])
        web.start_resolved()
        for each in (web, laptop):
            has_psql(each)
        made = Sites(Node(lab["db-server"]), Node(web), Node(laptop))
        lines = ((made.server, SERVER), (made.web, f"{MEMBER} --tun --dns"), (made.laptop, f"{MEMBER} --socks"))
        running = [serves(node, line.format(server=made.server.underlay)) for node, line in lines]
        for node in (made.web, made.laptop):
            node.wait_path(made.server)
        web.pulse("setup", "dns")
        yield made
        assert [line for each in running for line in each.text().splitlines() if " ERROR " in line] == []


def forwards(node: Node) -> Running:
    """Have the port of that machine lead to the database."""
    running = node.host.popen(["sh", "-c", f"exec {FORWARD}"])
    wait_until(lambda: "Ctrl-C" in running.text() or running.process.poll() is not None, "it listens", PATIENCE)
    return running


def asks(node: Node, line: str) -> Output:
    """What psql came to."""
    return types(node, line + ASKED)


def test_as_on_a_lan_and_through_a_port_where_there_is_no_device(sites: Sites) -> None:
    wait_until(lambda: asks(sites.web, PSQL).stdout == ANSWER, "the name leads to the database", PATIENCE)
    assert asks(sites.web, "psql -h postgres.db-server.pulse -U app").stdout == ANSWER, "so does any name below"

    port = forwards(sites.laptop)
    assert asks(sites.laptop, FORWARDED).stdout == ANSWER
    port.stop()


def test_through_the_proxy_for_applications_that_know_one(sites: Sites) -> None:
    """Not psql: a client's first question, whether the server does TLS, comes back as PostgreSQL answers it."""
    assert types(sites.laptop, TLS_ASKED).stdout == "N"


def test_rules_leave_the_database_to_those_with_the_tag(sites: Sites) -> None:
    port = forwards(sites.laptop)
    sites.ordered(*TAGS, *RULES)

    assert asks(sites.web, PSQL).stdout == ANSWER
    assert asks(sites.laptop, FORWARDED).code != 0
    explain = "pulse acl explain laptop db-server:5432"
    wait_until(lambda: explain in port.text(), "the forward says why", PATIENCE)
    port.stop()
    again = types(sites.laptop, FORWARD)
    assert (again.code, explain in again.stderr) == (Refused.exit_code, True), again
    assert "DENIED by rule 2" in types(sites.laptop, explain).stdout


def test_a_machine_that_loses_the_tag_is_refused_by_address_and_finds_no_name(sites: Sites) -> None:
    sites.ordered("pulse untag web-1 backend")

    by_address = asks(sites.web, f"psql -h {sites.server.v4} -U app")
    assert (by_address.code, "Connection refused" in by_address.stderr) == (2, True), by_address
    by_name = asks(sites.web, PSQL)
    assert (by_name.code, "could not translate host name" in by_name.stderr) == (2, True), by_name
    sites.ordered("pulse tag web-1 backend")
    wait_until(lambda: asks(sites.web, PSQL).stdout == ANSWER, "it is let in again", PATIENCE)
