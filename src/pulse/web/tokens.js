// What lets machines join: the tokens there are, a form for another one, and their end.

import { chip, confirmed, el, field, problemLine, say, worded } from "./dom.js";
import { since, until } from "./format.js";
import { Table } from "./table.js";

export class TokensView {
  constructor({ api }) {
    this.api = api;
    this.problem = problemLine();
    this.made = el("div", { class: "made", "aria-live": "polite" });
    this.list = new Table("Tokens", this.#columns(), (token) => token.id, { empty: "no tokens", order: 1 });
    this.element = el("div", { class: "stack" },
      el("section", { class: "card", "aria-labelledby": "make-title" }, el("h2", { id: "make-title" }, "Let a machine join"), this.#form(), this.made),
      el("section", { class: "card" }, el("h2", {}, "Tokens"), this.problem, this.list.element));
    this.load();
  }

  #columns() {
    const end = (token) => (token.state === "good" && !token.master
      ? el("button", { type: "button", class: "danger", "aria-label": `Revoke token ${token.id.slice(0, 8)}`, onclick: () => this.#revoke(token) }, "Revoke") : "");
    return [
      { title: "Token", text: (token) => token.id.slice(0, 8), cell: (token) => el("code", {}, token.id.slice(0, 8)) },
      { title: "Made", text: (token) => since(token.created), sort: (token) => -token.created },
      { title: "State", text: (token) => token.state.replace("_", " "), cell: (token) => chip(token.state.replace("_", " "), token.state === "good" ? "good" : "") },
      { title: "Ends", text: (token) => until(token.expires), sort: (token) => token.expires ?? 1e15 },
      { title: "Uses", numeric: true, text: (token) => `${token.uses} of ${token.max_uses || "any"}`, sort: (token) => token.uses },
      { title: "Name", text: (token) => (token.master ? "master token" : token.name ?? "–") },
      { title: "Tags", text: (token) => token.tags.join(" ") || "–", cell: (token) => (token.tags.length ? token.tags.map((tag) => chip(tag)) : "–") },
      { title: "Joined with it", text: (token) => (token.used_by ?? []).join(", ") || "–" },
      { title: "", text: (token) => `${token.id}${token.state}`, cell: end },
    ];
  }

  async load() {
    try {
      this.list.show(await this.api.get("/api/tokens"));
      say(this.problem, "");
    } catch (error) {
      say(this.problem, worded(error));
    }
  }

  #form() {
    return el("form", { class: "fields", onsubmit: (event) => this.#create(event) },
      field("As", "kind", {}, "select", el("option", { value: "invite" }, "invite"), el("option", { value: "tokens" }, "token")),
      field("Good for", "ttl", { value: "1h", placeholder: "30m, 4h, 7d; empty: for ever", pattern: "[1-9][0-9]*[smhdw]([0-9]+[smhdw])*" }),
      field("Machines", "max_uses", { type: "number", min: 0, max: 1000000, value: 1, title: "0: any number" }),
      field("Name", "name", { placeholder: "cam-7" }),
      field("Tags", "tags", { placeholder: "web, prod" }),
      el("button", { class: "primary", type: "submit" }, "Make"));
  }

  async #create(event) {
    event.preventDefault();
    const said = new FormData(event.target);
    const wanted = { tags: said.get("tags").split(/[\s,]+/).filter(Boolean) };
    if (said.get("max_uses")) wanted.max_uses = Number(said.get("max_uses"));
    if (said.get("ttl")) wanted.ttl = said.get("ttl");
    if (said.get("name")) wanted.name = said.get("name");
    try {
      const made = await this.api.post(`/api/${said.get("kind")}`, wanted);
      this.#shown(made.invite ? `pulse join ${made.invite}` : made.token);
      await this.load();
    } catch (error) {
      this.#told(worded(error));
    }
  }

  #shown(secret) {
    const text = el("input", { readonly: true, value: secret, "aria-label": "What was made", class: "secret", onfocus: () => text.select() });
    const copied = el("span", { role: "status", class: "muted" });
    const copy = async () => {
      text.select();
      // Only pages of a secure origin have a clipboard; elsewhere the text is selected, and a person copies it.
      if (navigator.clipboard) await navigator.clipboard.writeText(secret).then(() => say(copied, "copied"), () => say(copied, "selected"));
      else say(copied, "selected: copy it");
    };
    this.made.replaceChildren(el("p", {}, "Shown this once:"), el("div", { class: "row" }, text, el("button", { type: "button", onclick: copy }, "Copy"), copied));
    text.focus();
  }

  #told(problem) {
    const line = problemLine();
    this.made.replaceChildren(line);
    say(line, problem);
  }

  async #revoke(token) {
    const name = token.id.slice(0, 8);
    const sure = await confirmed(`Revoke token ${name}?`, "No machine joins with it any more. Those that did stay members.", "Revoke");
    if (!sure) return;
    try {
      await this.api.remove("/api/tokens", { id: token.id });
      await this.load();
    } catch (error) {
      say(this.problem, worded(error));
    }
  }
}
