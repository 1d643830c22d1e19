// Names a node and gives it tags; what goes wrong is said under the field it came from.

import { el, problemLine, say, worded } from "./dom.js";

export class Naming {
  #node = null;
  #base = ""; // The name as it was when a person began to write another one.

  constructor(api) {
    this.api = api;
    this.done = el("p", { class: "muted", role: "status" });
    this.name = new Field("Name", "naming-name", "Rename", (text) => this.#rename(text));
    this.tag = new Field("Another tag", "naming-tag", "Add", (text) => this.#tag("post", text));
    this.tags = el("ul", { class: "taken", "aria-label": "Tags" });
    this.tagProblem = problemLine();
    this.element = el("section", { "aria-label": "Name and tags", class: "naming" },
      this.name.element, this.tags, this.tagProblem, this.tag.element, this.done);
  }

  /** The node as it is now; a name that is being written stays. */
  show(node) {
    const other = node.id !== this.#node?.id;
    if (other || this.name.input.value === this.#base) this.name.input.value = this.#base = node.name;
    const shown = this.#node?.tags ?? [];
    this.#node = node;
    if (other || shown.join(" ") !== node.tags.join(" ") || !this.tags.firstChild) this.#list();
  }

  #list() {
    const taken = (tag) => el("li", { class: "chip" }, tag,
      el("button", { type: "button", class: "take", "aria-label": `Take tag ${tag} away`, onclick: () => this.#untag(tag) }, "✕"));
    this.tags.replaceChildren(...(this.#node.tags.length ? this.#node.tags.map(taken) : [el("li", { class: "muted" }, "no tags")]));
  }

  async #rename(name) {
    say(this.done, "");
    const now = await this.api.get("/api/status");
    const there = [now.node, ...now.peers].find((each) => each.id === this.#node.id)?.name ?? this.#base;
    if (there !== this.#base && there !== name) {
      const before = this.#base;
      this.#base = there;
      throw new Error(`It was ${before} when you began and is ${there} now. Rename once more if it is to be ${name}.`);
    }
    this.#told(await this.api.put("/api/name", { node_id: this.#node.id, name }), `It is called ${name} now.`);
  }

  async #tag(method, tag) {
    say(this.done, "");
    this.#told(await this.api[method]("/api/tags", { node_id: this.#node.id, tag }), method === "post" ? `It has the tag ${tag} now.` : `The tag ${tag} is taken away.`);
    if (method === "post") this.tag.input.value = "";
  }

  async #untag(tag) {
    say(this.tagProblem, "");
    try {
      await this.#tag("remove", tag);
      (this.tags.querySelector("button") ?? this.tag.input).focus();
    } catch (error) {
      say(this.tagProblem, worded(error));
    }
  }

  #told(answer, text) {
    this.#base = this.name.input.value = answer.name;
    this.#node = { ...this.#node, name: answer.name, tags: answer.tags };
    this.#list();
    say(this.done, text);
  }
}

/** A labelled field with its button; `enter(text)` may throw what is then said under it. */
class Field {
  constructor(label, id, verb, enter) {
    this.problem = problemLine();
    this.problem.id = `${id}-problem`;
    this.input = el("input", { id, required: true, autocomplete: "off", spellcheck: "false", maxlength: 63, "aria-describedby": this.problem.id });
    this.button = el("button", { type: "submit" }, verb);
    const submitted = async (event) => {
      event.preventDefault();
      this.#wrong("");
      this.button.disabled = true;
      try {
        await enter(this.input.value.trim());
      } catch (error) {
        this.#wrong(worded(error));
      }
      this.button.disabled = false;
    };
    this.element = el("form", { class: "field", onsubmit: submitted },
      el("label", { for: id }, label), el("div", { class: "row" }, this.input, this.button), this.problem);
  }

  #wrong(text) {
    say(this.problem, text);
    if (text) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }
}
