// A table that is sorted by its headers and whose cells change in place: focus and selection stay where they are.

import { el, say } from "./dom.js";
import { byName } from "./format.js";

export class Table {
  /**
   * `columns`: {title, text(row), sort?(row), cell?(row), numeric?}; `key` names a row. `cell` gives nodes where text
   * alone does not do, and is asked again only if `text` became another.
   */
  constructor(caption, columns, key, { empty = "nothing here", order = 0, descending = false } = {}) {
    Object.assign(this, { columns, key, order, descending, empty });
    this.rows = [];
    this.lines = new Map();
    this.heads = columns.map((column, place) => this.#head(column, place));
    this.body = el("tbody");
    this.note = el("p", { class: "empty" });
    const table = el("table", {}, el("caption", { class: "hidden" }, caption), el("thead", {}, el("tr", {}, this.heads)), this.body);
    this.element = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, table, this.note);
    this.#mark();
  }

  #head(column, place) {
    if (!column.title) return el("th", { scope: "col" }, el("span", { class: "hidden" }, "Actions"));
    const button = el("button", { type: "button", class: "sort", onclick: () => this.#sortBy(place) }, column.title);
    return el("th", { scope: "col", class: column.numeric ? "number" : "" }, button);
  }

  #sortBy(place) {
    this.descending = this.order === place ? !this.descending : false;
    this.order = place;
    this.#mark();
    this.show(this.rows);
  }

  #mark() {
    this.heads.forEach((head, place) => {
      if (place === this.order) head.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }

  /** Show these rows, in the order that was chosen. */
  show(rows) {
    this.rows = rows;
    const { text, sort = text } = this.columns[this.order];
    const sign = this.descending ? -1 : 1;
    const sorted = rows.map((row) => [sort(row), row]).sort(([one], [other]) => sign * compared(one, other));
    const kept = new Set();
    let before = null;
    for (const [, row] of sorted) {
      const name = this.key(row);
      const line = this.lines.get(name) ?? this.#line(name);
      kept.add(name);
      this.#fill(line, row);
      const place = before ? before.nextSibling : this.body.firstChild;
      if (place !== line.element) this.body.insertBefore(line.element, place);
      before = line.element;
    }
    for (const [name, line] of this.lines) {
      if (!kept.has(name)) {
        line.element.remove();
        this.lines.delete(name);
      }
    }
    say(this.note, rows.length ? "" : this.empty);
  }

  #line(name) {
    const cells = this.columns.map((column, place) =>
      el(place === 0 ? "th" : "td", { scope: place === 0 ? "row" : null, class: column.numeric ? "number" : "" }));
    const line = { element: el("tr", {}, cells), cells, said: [] };
    this.lines.set(name, line);
    return line;
  }

  #fill(line, row) {
    line.row = row;
    this.columns.forEach((column, place) => {
      const text = column.text(row);
      if (line.said[place] === text) return;
      line.said[place] = text;
      if (column.cell) line.cells[place].replaceChildren(...[column.cell(row)].flat());
      else say(line.cells[place], text);
    });
  }

  /** Mark one row as chosen; none if there is none of that name. */
  choose(name) {
    for (const [each, line] of this.lines) line.element.classList.toggle("chosen", each === name);
  }
}

function compared(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return byName(String(one), String(other));
}
