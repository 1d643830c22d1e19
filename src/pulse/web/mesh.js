// The view of the mesh: the graph, the list of nodes, and details of one with why it is reached as it is.

import { chip, el, facts, problemLine, say, worded } from "./dom.js";
import { bytes, ms, percent, seen, short, until } from "./format.js";
import { MeshGraph } from "./graph.js";
import { qualityOf, reasonLines, wayOf } from "./model.js";
import { Naming } from "./naming.js";
import { Table } from "./table.js";

const LEGEND = [
  ["line own", "link of this node"], ["line dashed", "WebSocket"], ["line far", "link between others"],
  ["line warn", "loss from 1 %"], ["line bad", "from 5 %, or suspect"],
  ["mark circle", "node"], ["mark square", "CA, scribe, operator"], ["mark diamond", "exit"], ["mark off", "no path"],
];

export class MeshView {
  constructor({ api, go, session }) {
    Object.assign(this, { api, go, writes: session.writes, nodes: [], links: [], picked: "", words: "" });
    this.graph = new MeshGraph((id) => go(`mesh/${id}`));
    this.count = el("p", { class: "muted", role: "status" });
    this.filter = el("input", { type: "search", id: "node-filter", placeholder: "name, id, address, tag, role", oninput: () => this.#list() });
    this.list = new Table("Nodes", this.#columns(), (node) => node.id, { empty: "no node fits" });
    this.linkList = new Table("Links of the mesh", linkColumns((id) => this.#name(id)), (link) => `${link.a}${link.b}`);
    this.linkBox = el("details", { class: "card", ontoggle: () => this.#showLinks() }, el("summary", {}, "All links as a table"), this.linkList.element);
    this.details = el("aside", { class: "card details", "aria-label": "Details of a node", tabindex: -1, hidden: true });
    const legend = el("ul", { class: "legend", "aria-label": "Legend" }, LEGEND.map(([kind, text]) => el("li", {}, el("span", { class: kind }), text)));
    this.element = el("div", { class: "mesh" },
      el("section", { class: "card picture", "aria-label": "The mesh" }, this.graph.element, legend),
      this.details,
      el("section", { class: "card nodes", "aria-labelledby": "nodes-title" },
        el("div", { class: "row" }, el("h2", { id: "nodes-title" }, "Nodes"), this.count,
          el("label", { for: "node-filter", class: "hidden" }, "Filter nodes"), this.filter),
        this.list.element),
      this.linkBox);
    this.element.addEventListener("keydown", (event) => { if (event.key === "Escape" && this.picked) this.go("mesh"); });
  }

  /** The mesh as it is now. */
  show(mesh) {
    Object.assign(this, { nodes: mesh.nodes, links: mesh.links });
    this.graph.show(mesh.nodes, mesh.links, mesh.flows);
    this.#list();
    this.#showLinks();
    if (this.picked) this.#facts();
  }

  /** What stands behind the view's name in the address: the node whose details are open. */
  open(id) {
    const before = this.picked;
    this.picked = id;
    this.graph.choose(id);
    this.list.choose(id);
    this.details.hidden = !id;
    this.element.classList.toggle("open", Boolean(id));
    if (!id && before) this.list.lines.get(before)?.element.querySelector("button")?.focus();
    if (!id || id === before) return;
    this.#describe();
  }

  refresh() {
    this.graph.refresh();
  }

  stop() {
    this.graph.stop();
  }

  #name(id) {
    return this.nodes.find((node) => node.id === id)?.name ?? short(id);
  }

  #columns() {
    const open = (node) => el("button", { type: "button", class: "link", onclick: () => this.go(`mesh/${node.id}`) }, node.name);
    return [
      { title: "Node", text: (node) => node.name, cell: (node) => [open(node), el("small", {}, short(node.id))] },
      { title: "Address", text: (node) => node.v4 },
      { title: "Link", text: (node) => (node.me ? "this node" : node.online ? node.link : "no path"), cell: linkCell },
      { title: "Via", text: (node) => node.via || "–" },
      { title: "RTT", numeric: true, text: (node) => (node.me ? "–" : ms(node.rtt)), sort: (node) => (node.online ? node.rtt ?? 1e9 : 1e10) },
      { title: "Loss", numeric: true, text: (node) => (node.me ? "–" : percent(node.loss)), sort: (node) => node.loss ?? 2, cell: lossCell },
      { title: "Seen", text: (node) => seen(node.seen), sort: (node) => node.seen ?? 1e12 },
      { title: "Roles and tags", text: (node) => [...node.roles, ...node.tags].join(" ") || "–",
        cell: (node) => (node.roles.length + node.tags.length ? [...node.roles.map((role) => chip(role, "role")), ...node.tags.map((tag) => chip(tag))] : "–") },
    ];
  }

  #list() {
    const words = this.filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (node) => {
      const text = [node.name, node.id, node.v4, node.v6, wayOf(node), ...node.roles, ...node.tags].join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    };
    const shown = this.nodes.filter(fits);
    this.list.show(shown);
    this.list.choose(this.picked);
    say(this.count, words.length ? `${shown.length} of ${this.nodes.length}` : `${this.nodes.length}`);
  }

  #showLinks() {
    if (this.linkBox.open) this.linkList.show(this.links);
  }

  // Details

  #describe() {
    const node = this.nodes.find((each) => each.id === this.picked);
    const close = el("button", { type: "button", class: "quiet", "aria-label": "Close the details", onclick: () => this.go("mesh") }, "✕");
    this.title = el("h2", {}, node?.name ?? short(this.picked));
    this.about = el("div");
    this.reason = el("div", { class: "reason", "aria-live": "polite" });
    const again = el("button", { type: "button", class: "quiet", onclick: () => this.#ask() }, "Ask again");
    const why = el("section", { "aria-label": "Why" }, el("div", { class: "row" }, el("h3", {}, "Why"), again), this.reason);
    this.naming = this.writes ? new Naming(this.api) : null;
    this.details.replaceChildren(el("div", { class: "row" }, this.title, close), ...(node?.me ? [] : [why]), this.about, ...(this.naming ? [this.naming.element] : []));
    this.#facts();
    this.details.focus({ preventScroll: innerWidth > 900 });
    if (!node?.me) this.#ask();
    this.#certificate();
  }

  #facts() {
    const node = this.nodes.find((each) => each.id === this.picked);
    if (!node) return this.about?.replaceChildren(el("p", { class: "empty" }, "This node knows nobody of that id any more."));
    say(this.title, node.name);
    this.naming?.show(node);
    const text = JSON.stringify([node, this.until]);
    if (this.described === text) return undefined;
    this.described = text;
    return this.about.replaceChildren(
      el("p", { class: "chips" }, node.roles.map((role) => chip(role, "role")), node.tags.map((tag) => chip(tag))),
      facts([
        ["way", wayOf(node)],
        ["path", node.path.length > 1 ? node.path.map((id) => this.#name(id)).join(" → ") : ""],
        ["RTT", node.me ? "" : `${ms(node.rtt)}${node.jitter ? ` ± ${ms(node.jitter)}` : ""}`],
        ["loss", node.me ? "" : percent(node.loss)],
        ["seen", node.me ? "" : seen(node.seen)],
        ["pinned", node.pinned ? `to ${node.pinned.via}${node.pinned.problem ? `: ${node.pinned.problem}` : ""}` : ""],
        ["address", node.v4], ["IPv6", node.v6], ["reached at", node.address],
        ["sent, received", node.me ? "" : `${bytes(node.bytes_out)}, ${bytes(node.bytes_in)}`],
        ["longest packet", node.mtu ? `${node.mtu} bytes` : ""],
        ["last error", node.last_error], ["certificate", this.until ?? ""], ["version", node.version], ["id", node.id],
      ]));
  }

  async #ask() {
    const asked = this.picked;
    this.reason.replaceChildren(el("p", { class: "muted" }, "asking both ends…"));
    let said;
    try {
      const why = await this.api.post("/api/why", { node: asked });
      said = [el("p", { class: "verdict" }, why.sentence), facts(reasonLines(why))];
    } catch (error) {
      const line = problemLine();
      say(line, worded(error));
      said = [line];
    }
    if (this.picked === asked) this.reason.replaceChildren(...said);
  }

  async #certificate() {
    const asked = this.picked;
    this.until = "";
    const all = await this.api.get("/api/certs").catch(() => []);
    const mine = all.find((each) => each.id === asked);
    if (this.picked !== asked || !mine) return;
    this.until = `ends ${until(mine.not_after)}${mine.outlook === "good" ? "" : `, ${mine.outlook}`}`;
    this.#facts();
  }
}

function linkCell(node) {
  const kind = node.online ? (node.suspect ? "bad" : node.via ? "relayed" : "direct") : "off";
  return el("span", { class: "way" }, el("span", { class: `dot ${kind}`, "aria-hidden": "true" }), node.me ? "this node" : node.online ? node.link : "no path");
}

function lossCell(node) {
  if (node.me || node.loss === null) return "–";
  const quality = qualityOf(node.loss);
  return el("span", { class: quality }, quality === "good" ? percent(node.loss) : `${percent(node.loss)} ▲`);
}

function linkColumns(name) {
  return [
    { title: "One end", text: (link) => name(link.a) },
    { title: "Other end", text: (link) => name(link.b) },
    { title: "Type", text: (link) => link.link || "known to its ends" },
    { title: "RTT", numeric: true, text: (link) => ms(link.rtt), sort: (link) => link.rtt },
    { title: "Loss", numeric: true, text: (link) => percent(link.loss), sort: (link) => link.loss },
    { title: "Quality", text: (link) => link.quality },
  ];
}
