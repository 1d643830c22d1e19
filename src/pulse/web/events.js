// What happens in the mesh, as it happens. The log is kept while the page is open, so that no view has to ask for it.

import { chip, el, problemLine, say, worded } from "./dom.js";
import { clock } from "./format.js";

const MOST = 500;

/** The newest events, and whether more are told as they happen. */
export class EventLog {
  constructor(api, signal) {
    Object.assign(this, { api, signal, events: [], lacks: "", live: false, changed: () => {} });
  }

  /** What was, then what is, until the stream ends, and with it the session. */
  follow() {
    return this.api.follow((event) => this.#add([event]), () => this.#opened(), this.signal);
  }

  async #opened() {
    this.live = true;
    this.changed();
    // After the stream began, so that nothing falls between the two.
    try {
      this.#add((await this.api.get("/api/events?limit=200")).events);
    } catch (error) {
      this.lacks = `What was before is not known: ${worded(error)}`;
    }
    this.changed();
  }

  #add(events) {
    const known = new Set(this.events.map((event) => event.seq));
    const more = events.filter((event) => !known.has(event.seq));
    this.events = [...this.events, ...more].sort((one, other) => one.seq - other.seq).slice(-MOST);
    this.changed();
  }
}

export class EventsView {
  constructor({ session }) {
    this.log = session.events;
    this.state = el("p", { class: "muted", role: "status" });
    this.problem = problemLine();
    this.filter = el("input", { type: "search", id: "event-filter", placeholder: "type, node or text", oninput: () => this.#draw() });
    this.nothing = el("p", { class: "empty" });
    this.list = el("ol", { class: "events", role: "log", "aria-label": "Events, the newest first" });
    this.element = el("section", { class: "card" },
      el("div", { class: "row" }, el("h2", {}, "Events"), this.state, el("label", { for: "event-filter", class: "hidden" }, "Filter events"), this.filter),
      this.problem, this.nothing, this.list);
    this.log.changed = () => this.#draw();
    this.#draw();
  }

  stop() {
    this.log.changed = () => {};
  }

  #draw() {
    const word = this.filter.value.trim().toLowerCase();
    say(this.state, this.log.live ? "live" : "not live");
    say(this.problem, this.log.lacks);
    const shown = this.log.events.filter((event) => !word || textOf(event).toLowerCase().includes(word)).reverse();
    const kept = new Map([...this.list.children].map((line) => [line.dataset.seq, line]));
    let before = null;
    for (const event of shown) {
      // Lines that are there stay where they are: a screen reader tells those that come, and no other.
      const item = kept.get(String(event.seq)) ?? line(event);
      const place = before ? before.nextSibling : this.list.firstChild;
      if (place !== item) this.list.insertBefore(item, place);
      before = item;
    }
    while (before ? before.nextSibling : this.list.firstChild) (before ? before.nextSibling : this.list.firstChild).remove();
    say(this.nothing, shown.length ? "" : "nothing yet");
  }
}

const fieldsOf = (event) => Object.entries(event.fields).filter(([, value]) => value !== null && value !== "").map(([name, value]) => `${name} ${value}`).join(" · ");

const textOf = (event) => `${event.type} ${event.name} ${event.node} ${fieldsOf(event)}`;

function line(event) {
  const time = el("time", { datetime: new Date(event.time * 1000).toISOString(), title: new Date(event.time * 1000).toLocaleString() }, clock(event.time));
  return el("li", { "data-seq": event.seq }, time, chip(event.type), el("strong", {}, event.name), el("span", { class: "muted" }, fieldsOf(event)));
}
