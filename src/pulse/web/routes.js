// Ranges beyond the mesh: who leads there, who approved it, and which exit is in use.

import { chip, confirmed, el, problemLine, say, worded } from "./dom.js";
import { Table } from "./table.js";

const KINDS = { "in use": "good", here: "good", failed: "deny", offered: "warn" };

export class RoutesView {
  constructor({ api }) {
    this.api = api;
    this.problem = problemLine();
    this.list = new Table("Routes", this.#columns(), (route) => `${route.id} ${route.cidr}`, { empty: "No node leads beyond the mesh. On one that should: pulse start --exit --exit-cidrs 192.168.7.0/24" });
    this.element = el("section", { class: "card" }, el("h2", {}, "Routes and exits"), this.problem, this.list.element);
    this.load();
    this.timer = setInterval(() => { if (!document.hidden) this.load(); }, 10000);
  }

  stop() {
    clearInterval(this.timer);
  }

  #columns() {
    const act = (route) => (route.offered && !route.approved
      ? el("button", { type: "button", "aria-label": `Approve ${route.cidr} by ${route.name}`, onclick: () => this.#approve(route) }, "Approve") : "");
    return [
      { title: "Range", text: (route) => route.cidr },
      { title: "By", text: (route) => route.name },
      { title: "State", text: (route) => route.state, cell: (route) => el("span", {}, chip(route.state, KINDS[route.state] ?? ""), route.why ? ` ${route.why}` : "") },
      { title: "Behind the node", text: (route) => route.behind || "the same" },
      { title: "Approved by", text: (route) => route.by || "nobody" },
      { title: "This node goes by", text: (route) => route.through || "–" },
      { title: "", text: (route) => `${route.offered}${route.approved}`, cell: act },
    ];
  }

  async load() {
    try {
      this.list.show(await this.api.get("/api/routes"));
    } catch (error) {
      say(this.problem, worded(error));
    }
  }

  async #approve(route) {
    const sure = await confirmed(`Approve ${route.cidr}?`, `From then on nodes reach ${route.cidr} through ${route.name}.`, "Approve");
    if (!sure) return;
    try {
      await this.api.post("/api/routes/approve", { cidr: route.cidr, node_id: route.id });
      say(this.problem, "");
      await this.load();
    } catch (error) {
      say(this.problem, worded(error));
    }
  }
}
