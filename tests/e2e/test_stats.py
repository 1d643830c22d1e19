"""Traffic of known size, as the scribe sums it over restarts of either; and metrics, with a key and without.

Invariant: the tests run in their order, on one mesh, where nobody else moves anything.
"""

import json
import shutil
import sys
import urllib.parse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pulse.errors import PulseError
from pulse.lab.host import wait_until
from pulse.lab.lab import Lab
from pulse.lab.topologies import star
from pulse.lab.transfer import measure
from tests.e2e.mesh import PATIENCE, Mesh, Node, bring_up_mesh
from tests.namespace import require_root

SIZE = 8 << 20
SLACK = SIZE // 4
"""What headers and acknowledgements may come to."""

SCRIBE, OWN = "http://127.0.0.1:8080", "http://127.0.0.1:9100"

ASK = """
import sys, urllib.error, urllib.request
url, key = sys.argv[1:]
request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
try:
    with urllib.request.urlopen(request, timeout=10) as answer:
        print(answer.status)
        print(answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code)
"""

REFERENCE = {
    "pulse_peers_total": set[str](),
    "pulse_peers_connected": set[str](),
    "pulse_peer_latency_ms": {"node_id", "name"},
    "pulse_peer_loss_ratio": {"node_id", "name"},
    "pulse_peer_link_type": {"node_id", "name", "type"},
    "pulse_node_stats_bytes_in": {"node_id"},
    "pulse_node_stats_bytes_out": {"node_id"},
    "pulse_node_stats_active_conns": {"node_id"},
    "pulse_cert_expiry_seconds": set[str](),
    "pulse_acl_rules_total": set[str](),
    "pulse_tokens_valid": set[str](),
    "pulse_node_info": {"node_id", "network_id"},
}
"""Names and labels that the reference promises."""


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """h0 is CA and scribe; all have direct links."""
    require_root()
    with Lab(star(3)) as lab:
        made = bring_up_mesh(lab, {"h1": "h0", "h2": "h0"}, "--metrics-listen", ":9100")
        made["h1"].wait_direct(made["h2"])
        yield made
        assert made.errors == []


def stats(node: Node, *arguments: str) -> Any:
    return json.loads(node.host.pulse("stats", "--json", *arguments).stdout)


def total(mesh: Mesh, name: str) -> tuple[int, int]:
    """Bytes in and out of a node, as the scribe sums them."""
    rows = {row["name"]: (row["bytes_in"], row["bytes_out"]) for row in stats(mesh["h0"])["rows"]}
    return rows.get(name, (0, 0))


def sends(mesh: Mesh) -> None:
    """h1 sends h2 so much."""
    assert measure(mesh["h1"].host, mesh["h2"].host, mesh["h2"].v4, SIZE).hash_equal


def ask(node: Node, url: str, key: str = "") -> tuple[int, str]:
    said = node.host.run([sys.executable, "-c", ASK, url, key]).stdout
    status, _, text = said.partition("\n")
    return int(status), text


def test_a_node_is_shown_with_its_peers_to_who_may_know_and_to_others_alone(mesh: Mesh) -> None:
    sends(mesh)
    by_peer = stats(mesh["h0"], "h1")
    assert by_peer["rows"][0]["name"] == "h2"
    assert SIZE <= by_peer["rows"][0]["bytes_out"] < SIZE + SLACK
    elsewhere = mesh["h1"].tries("stats", "h2")
    assert (elsewhere.code, "pulse ca grant" in elsewhere.stderr) == (3, True)

    own = stats(mesh["h1"])
    assert [row["name"] for row in own["rows"]] == ["h1"]
    assert (own["whole"], "is no operator" in own["problem"]) == (False, True)


def test_each_node_tells_its_own_metrics_on_loopback_and_nothing_else(mesh: Mesh) -> None:
    member = mesh["h1"]
    status, text = ask(member, f"{OWN}/metrics")
    found = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert (status, found["pulse_peers_total"][0].value) == (200, 2)
    assert "pulse_tokens_valid" not in found
    assert [each.labels["node_id"] for each in found["pulse_node_stats_bytes_out"]] == [member.status().node.id]
    assert ask(member, f"{OWN}/api/status")[0] == 404
    with pytest.raises(PulseError):
        ask(mesh["h0"], f"http://{member.v4}:9100/metrics")


PROMETHEUS: Final = shutil.which("prometheus") or ""

if PROMETHEUS:
    # Collected where it is: its package would cost each run of the whole suite half a minute.

    def test_a_real_prometheus_scrapes_it(mesh: Mesh, tmp_path: Path) -> None:
        scribe, key = mesh["h0"], tmp_path / "key"
        key.write_text(scribe.host.pulse("api-key", "create", "scrape").stdout.split()[-1])
        (tmp_path / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\n"
            "scrape_configs:\n"
            f"- {{job_name: scribe, static_configs: [{{targets: ['127.0.0.1:8080']}}],"
            f" authorization: {{credentials_file: {key}}}}}\n"
            "- {job_name: node, static_configs: [{targets: ['127.0.0.1:9100']}]}\n"
        )
        places = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
        scribe.host.popen([PROMETHEUS, *places, "--web.listen-address=127.0.0.1:9090"])

        for query in ("sum(up)", "pulse_peers_connected{job='node'}", "count(pulse_drops_total{reason='no_route'})"):
            wait_until(partial(is_two, scribe, query), query, PATIENCE)

    def is_two(node: Node, query: str) -> bool:
        """True if Prometheus has one value for a query, which is 2."""
        url = "http://127.0.0.1:9090/api/v1/query?" + urllib.parse.urlencode({"query": query})
        said = node.host.run([sys.executable, "-c", ASK, url, ""], check=False).stdout.partition("\n")[2]
        found = json.loads(said)["data"]["result"] if said.strip() else []
        return [each["value"][1] for each in found] == ["2"]


def test_the_scribe_knows_how_much_each_node_moved(mesh: Mesh) -> None:
    wait_until(lambda: total(mesh, "h2")[0] >= SIZE and total(mesh, "h1")[1] >= SIZE, "both have reported", PATIENCE)
    assert total(mesh, "h2")[0] < SIZE + SLACK
    assert total(mesh, "h1")[1] < SIZE + SLACK
    assert mesh["h0"].host.pulse("stats").stdout.splitlines()[-1] == "counted by all nodes, summed by h0"


def test_metrics_have_all_names_of_the_reference_for_who_shows_a_key(mesh: Mesh) -> None:
    scribe = mesh["h0"]
    key = scribe.host.pulse("api-key", "create", "prometheus").stdout.split()[-1]
    assert [ask(scribe, f"{SCRIBE}/metrics", each)[0] for each in ("", "plk_nobody")] == [401, 401]
    assert ask(scribe, f"{SCRIBE}/metrics/", key)[0] == 404

    status, text = ask(scribe, f"{SCRIBE}/metrics", key)
    found = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert status == 200
    assert {name: {*found[name][0].labels} for name in REFERENCE} == REFERENCE
    ids = {each.status().node.id for each in mesh.nodes.values()}
    assert {each.labels["node_id"] for each in found["pulse_node_stats_bytes_in"]} == ids
    assert found["pulse_peers_connected"][0].value == 2
    assert found["pulse_gossip_bytes_in"][0].value > 0


def test_totals_outlive_the_scribes_restart_and_a_node_that_starts_anew_counts_on_top(mesh: Mesh) -> None:
    mesh["h1"].stop()
    before = {name: total(mesh, name) for name in ("h1", "h2")}
    mesh["h0"].stop()
    mesh["h0"].start()
    assert {name: total(mesh, name) for name in before} == before
    mesh["h1"].start()
    mesh.wait_whole()
    mesh["h1"].wait_direct(mesh["h2"])
    sends(mesh)

    mesh["h1"].stop()
    assert 2 * SIZE <= total(mesh, "h1")[1] < 2 * (SIZE + SLACK), "it says its last word as it stops"
