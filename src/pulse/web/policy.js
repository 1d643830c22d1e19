// Who may reach whom: rules with their hits, groups, tests, and a form that explains one flow.

import { chip, el, facts, field, problemLine, say, worded } from "./dom.js";
import { short, since, until } from "./format.js";
import { Table } from "./table.js";

const PROTOCOLS = ["", "tcp", "udp", "icmp"];

export class PolicyView {
  constructor({ api }) {
    Object.assign(this, { api, nodes: new Map() });
    this.sentence = el("p", { class: "lead" }, "…");
    this.problem = problemLine();
    this.rules = new Table("Rules", this.#columns(), (rule) => rule.id, { empty: "no rules" });
    this.groups = new Table("Groups", [
      { title: "Group", text: (group) => group.name },
      { title: "Members", text: (group) => group.members.join(", ") || "–" },
    ], (group) => group.name, { empty: "no groups" });
    this.tests = new Table("Tests", [
      { title: "Test", text: (test) => test.line },
      { title: "Holds", text: (test) => (test.holds ? "yes" : `no: ${test.problem}`) },
    ], (test) => test.id, { empty: "no tests" });
    this.verdict = el("div", { class: "reason", "aria-live": "polite" });
    this.names = el("datalist", { id: "node-names" });
    this.element = el("div", { class: "stack" },
      el("section", { class: "card" }, el("h2", {}, "Rules"), this.sentence, this.problem, this.rules.element),
      el("section", { class: "card", "aria-labelledby": "explain-title" }, el("h2", { id: "explain-title" }, "May it?"), this.#form(), this.names, this.verdict),
      el("section", { class: "card" }, el("h2", {}, "Groups"), this.groups.element),
      el("section", { class: "card" }, el("h2", {}, "Tests"), this.tests.element));
    this.load();
    this.timer = setInterval(() => { if (!document.hidden) this.load(); }, 15000);
  }

  stop() {
    clearInterval(this.timer);
  }

  show(mesh) {
    this.nodes = new Map(mesh.nodes.map((node) => [node.id, node.name]));
    const names = mesh.nodes.map((node) => node.name);
    if (this.known === names.join()) return;
    this.known = names.join();
    this.names.replaceChildren(...names.map((name) => el("option", { value: name })));
  }

  /** Patterns as people write them: an id by its name, or cut short. */
  #named(patterns) {
    return patterns.map((each) => (/^[0-9a-f]{64}$/.test(each) ? this.nodes.get(each) ?? short(each) : each)).join(", ");
  }

  #columns() {
    return [
      { title: "#", numeric: true, text: (rule) => `${rule.index}`, sort: (rule) => rule.index },
      { title: "Action", text: (rule) => rule.action, cell: (rule) => chip(rule.action, rule.action === "allow" ? "good" : "deny") },
      { title: "From", text: (rule) => this.#named(rule.from) },
      { title: "To", text: (rule) => this.#named(rule.to) },
      { title: "What", text: (rule) => [rule.proto.join(", "), rule.ports.join(", ")].filter(Boolean).join(" ") || "anything" },
      { title: "When", text: (rule) => [rule.state === "on" ? "" : rule.state, rule.window, rule.expires ? `${rule.expires * 1000 < Date.now() ? "ended" : "ends"} ${until(rule.expires)}` : ""].filter(Boolean).join(" · ") || "always" },
      { title: "Flows", numeric: true, text: (rule) => `${rule.hits?.flows ?? "–"}`, sort: (rule) => rule.hits?.flows ?? -1 },
      { title: "Last", text: (rule) => since(rule.hits?.last), sort: (rule) => -(rule.hits?.last ?? 0) },
      { title: "Note", text: (rule) => [rule.note, rule.redundant ? "another rule before it says the same" : ""].filter(Boolean).join(" · ") || "–" },
    ];
  }

  async load() {
    try {
      const [policy, hits] = await Promise.all([this.api.get("/api/acls"), this.api.get("/api/acls/hits").catch(() => null)]);
      const found = new Map((hits?.rules ?? []).map((each) => [each.id, each]));
      const missed = hits?.rules.find((each) => each.index === 0)?.flows ?? 0;
      say(this.sentence, policy.open ? "There are no rules, so everybody may reach everybody."
        : `What no rule allows is denied${missed ? `; ${missed} flows matched none` : ""}. Network config ${policy.version}.`);
      this.rules.show(policy.rules.map((rule) => ({ ...rule, hits: found.get(rule.id) })));
      this.groups.show(policy.groups);
      this.tests.show(policy.tests);
      say(this.problem, "");
    } catch (error) {
      say(this.problem, worded(error));
    }
  }

  #form() {
    const node = { list: "node-names", required: true, autocomplete: "off" };
    return el("form", { class: "fields", onsubmit: (event) => this.#explain(event) },
      field("From", "source", { ...node, placeholder: "laptop" }),
      field("To", "destination", { ...node, placeholder: "db-server" }),
      field("Protocol", "proto", {}, "select", PROTOCOLS.map((each) => el("option", { value: each }, each || "any"))),
      field("Port", "port", { type: "number", min: 0, max: 65535, placeholder: "5432" }),
      el("button", { class: "primary", type: "submit" }, "Explain"));
  }

  async #explain(event) {
    event.preventDefault();
    const said = new FormData(event.target);
    const wanted = { source: said.get("source"), destination: said.get("destination"), proto: said.get("proto"), port: Number(said.get("port") || 0) };
    try {
      const verdict = await this.api.post("/api/acls/explain", wanted);
      this.verdict.replaceChildren(
        el("p", { class: "verdict" }, chip(verdict.allowed ? "allowed" : "denied", verdict.allowed ? "good" : "deny"), " ", verdict.sentence),
        facts([
          ["by", verdict.rule?.line ?? ""],
          ["nearest", verdict.nearest ? `rule ${verdict.nearest.rule.index}: ${verdict.nearest.rule.line}` : ""],
          ["it lacks", verdict.nearest?.lacks.join("; ") ?? ""],
          ["to allow", verdict.fix],
          ["enforced by", verdict.enforced.join(", ")],
        ]));
    } catch (error) {
      const line = problemLine();
      this.verdict.replaceChildren(line);
      say(line, worded(error));
    }
  }
}
