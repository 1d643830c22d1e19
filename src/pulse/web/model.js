// What the API says, joined into what is drawn: nodes, the links between them, and where traffic flows.

const LOSSY = 0.01;
const BAD = 0.05;

/** `good`, `lossy` or `bad`: in words for lists, as colour and width for lines. */
export const qualityOf = (loss, suspect = false) => (suspect || loss >= BAD ? "bad" : loss >= LOSSY ? "lossy" : "good");

/** All nodes, this one first; `online` means that there is a path. */
export function nodesOf(status) {
  const me = { ...status.node, me: true, online: true, path: [], link: "", via: "", address: "", rtt: 0, loss: 0, seen: 0, version: status.version };
  return [me, ...status.peers.map((peer) => ({ ...peer, me: false, online: peer.link !== "-" }))];
}

/** Links between nodes that are shown: `{a, b, link, rtt, loss, own, quality}`. */
export function linksOf(topology, nodes) {
  const shown = new Set(nodes.map((node) => node.id));
  return topology.links
    .map((each) => ({
      a: topology.nodes[each.one],
      b: topology.nodes[each.other],
      link: each.link,
      rtt: each.rtt,
      loss: each.loss,
      own: each.link !== "",
      quality: qualityOf(each.loss, each.suspect),
    }))
    .filter((each) => shown.has(each.a) && shown.has(each.b));
}

/** Where this node's own traffic flows: each stretch of a path with its bytes a second each way. */
export class Flows {
  #before = new Map();
  #at = 0;

  /** From two looks at the peers; nothing at the first. */
  seen(peers, me, now) {
    const seconds = now - this.#at;
    const found = new Map();
    for (const peer of peers) {
      const before = this.#before.get(peer.id);
      if (before && seconds > 0) this.#add(found, [me, ...peer.path], (peer.bytes_out - before.out) / seconds, (peer.bytes_in - before.in) / seconds);
    }
    this.#before = new Map(peers.map((peer) => [peer.id, { in: peer.bytes_in, out: peer.bytes_out }]));
    this.#at = now;
    return [...found.values()];
  }

  #add(found, path, out, back) {
    if (out + back <= 0) return;
    for (let place = 0; place + 1 < path.length; place++) {
      const key = `${path[place]} ${path[place + 1]}`;
      const flow = found.get(key) ?? { a: path[place], b: path[place + 1], out: 0, back: 0 };
      flow.out += Math.max(0, out);
      flow.back += Math.max(0, back);
      found.set(key, flow);
    }
  }
}

/** The way to a node in words. */
export function wayOf(node) {
  if (node.me) return "this node";
  if (!node.online) return node.seen === null ? "not seen yet" : "no path";
  return node.via ? `${node.link} over ${node.via}` : node.link;
}

/** `why` in lines of a term and what it is, as `pulse why` says it. */
export function reasonLines(why) {
  const lines = [];
  for (const [end, other] of [[why.source, why.node], [why.node, why.source]]) {
    if (!end.asked) {
      lines.push([`from ${end.name}`, `no account: ${end.problem}`]);
      continue;
    }
    const tried = [...end.places].sort((a, b) => b.sent + b.heard - a.sent - a.heard).slice(0, 4);
    for (const place of tried) lines.push([`from ${end.name}`, placeText(place)]);
    if (!tried.length && end.via) lines.push([`from ${end.name}`, `no address of ${other.name} was tried`]);
  }
  const told = [why.source, why.node].filter((end) => end.asked);
  if (told.length) lines.push(["NAT", told.map((end) => `${end.name} ${end.nat === "none" ? "no NAT" : end.nat}${end.seen[0] ? ` at ${end.seen[0]}` : ""}`).join(" · ")]);
  const next = told.map((end) => end.next_try).filter((each) => each !== null);
  if (next.length) lines.push(["next try", `in ${Math.round(Math.min(...next))} s; at once if an address changes`]);
  if (why.help) lines.push(["what would help", why.help]);
  return lines;
}

function placeText(place) {
  if (!(place.sent || place.heard || place.answered)) return `${place.address}: ${place.error || "not tried"}`;
  return `${place.sent} probes to ${place.address}, ${place.answered} answered${place.heard ? `, ${place.heard} of its own` : ""}`;
}
