// How much traffic each node has, over the time that this page is open.

import { el, problemLine, say, worded } from "./dom.js";
import { bytes, rate } from "./format.js";
import { Table } from "./table.js";

const EVERY = 10000;
const MOST = 360;
const WIDE = 160;
const HIGH = 22;
const SVG = "http://www.w3.org/2000/svg";

/** The rates of the last hour by node, asked for every ten seconds. */
export class Traffic {
  constructor(api, signal) {
    Object.assign(this, { api, signal, history: new Map(), total: [], stats: null, problem: "", changed: () => {} });
  }

  follow() {
    const ask = async () => {
      if (!document.hidden) await this.#ask();
    };
    ask();
    const timer = setInterval(ask, EVERY);
    this.signal.addEventListener("abort", () => clearInterval(timer));
  }

  async #ask() {
    try {
      this.stats = await this.api.get("/api/stats");
      this.#keep();
      this.problem = "";
    } catch (error) {
      this.problem = worded(error);
    }
    if (!this.signal.aborted) this.changed();
  }

  #keep() {
    let sum = 0;
    const there = new Set();
    for (const row of this.stats.rows) {
      const speed = (row.rate_in ?? 0) + (row.rate_out ?? 0);
      const kept = this.history.get(row.id) ?? [];
      kept.push(speed);
      this.history.set(row.id, kept.slice(-MOST));
      there.add(row.id);
      sum += row.rate_out ?? 0;
    }
    for (const id of this.history.keys()) if (!there.has(id)) this.history.delete(id);
    this.total = [...this.total, sum].slice(-MOST);
  }
}

export class TrafficView {
  constructor({ session }) {
    this.traffic = session.traffic;
    this.problem = problemLine();
    this.note = el("p", { class: "muted" });
    this.sum = el("p", { class: "figure" });
    this.chart = el("div", { class: "chart" });
    this.list = new Table("Traffic by node", this.#columns(), (row) => row.id, { order: 1, descending: true, empty: "nothing was told yet" });
    this.element = el("div", { class: "stack" },
      el("section", { class: "card" }, el("h2", {}, "Sent by all nodes"), this.sum, this.chart),
      el("section", { class: "card" }, el("h2", {}, "By node"), this.problem, this.note, this.list.element));
    this.traffic.changed = () => this.#draw();
    this.#draw();
  }

  stop() {
    this.traffic.changed = () => {};
  }

  #columns() {
    const speed = (row) => (row.rate_in ?? 0) + (row.rate_out ?? 0);
    return [
      { title: "Node", text: (row) => row.name },
      { title: "Over time", text: (row) => `${this.traffic.history.get(row.id)?.join() ?? ""}`, sort: speed, cell: (row) => curve(this.traffic.history.get(row.id) ?? [], WIDE, HIGH) },
      { title: "In", numeric: true, text: (row) => rate(row.rate_in), sort: (row) => row.rate_in ?? -1 },
      { title: "Out", numeric: true, text: (row) => rate(row.rate_out), sort: (row) => row.rate_out ?? -1 },
      { title: "Received", numeric: true, text: (row) => bytes(row.bytes_in), sort: (row) => row.bytes_in },
      { title: "Sent", numeric: true, text: (row) => bytes(row.bytes_out), sort: (row) => row.bytes_out },
      { title: "Connections", numeric: true, text: (row) => `${row.active_conns} of ${row.conns}`, sort: (row) => row.active_conns },
    ];
  }

  #draw() {
    const { stats, problem, total } = this.traffic;
    say(this.problem, problem);
    if (!stats) return;
    say(this.note, stats.whole ? `Counted by all nodes, summed by ${stats.told_by}.` : stats.problem);
    say(this.sum, `${rate(total.at(-1))} now, at most ${rate(Math.max(...total))} in ${Math.max(1, Math.round((total.length * EVERY) / 60000))} min`);
    this.chart.replaceChildren(curve(total, 800, 90));
    this.list.show(stats.rows);
  }
}

/** A line over the last values, its area filled; the highest is at the top. */
function curve(values, wide, high) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("viewBox", `0 0 ${wide} ${high}`);
  made.setAttribute("preserveAspectRatio", "none");
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", `now ${rate(values.at(-1) ?? 0)}, at most ${rate(Math.max(0, ...values))}`);
  made.setAttribute("class", "curve");
  const most = Math.max(1, ...values);
  const room = Math.max(30, values.length);
  const points = values.map((value, place) => `${(wide * (room - values.length + place)) / (room - 1)} ${high - 2 - ((high - 4) * value) / most}`);
  if (points.length) {
    const start = `${(wide * (room - values.length)) / (room - 1)} ${high}`;
    for (const [kind, path] of [["area", `M${start} L${points.join(" L")} L${wide} ${high} Z`], ["stroke", `M${points.join(" L")}`]]) {
      const line = document.createElementNS(SVG, "path");
      line.setAttribute("d", path);
      line.setAttribute("class", kind);
      made.append(line);
    }
  }
  return made;
}
