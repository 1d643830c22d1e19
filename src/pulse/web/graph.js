// Draws the mesh on two canvases: nodes and lines on one, redrawn when something changed; what moves on the other.

import { el, say } from "./dom.js";
import { arranged } from "./layout.js";
import { dashes, dot, label } from "./strokes.js";
import { colours } from "./theme.js";

const MOST_MOVING = 120;
const LABELLED = 70;
const CLOSEST = 6;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class MeshGraph {
  /** `chosen(id)` is called when a person picks a node. */
  constructor(chosen) {
    Object.assign(this, { chosen, nodes: [], links: [], busy: [], picked: "", under: "", zoom: 1, shiftX: 0, shiftY: 0 });
    this.still = el("canvas", { "aria-hidden": "true" });
    this.moving = el("canvas", {
      tabindex: 0, role: "application", "aria-roledescription": "map of the mesh", "aria-describedby": "graph-help",
      "aria-label": "The mesh as a graph",
    });
    this.told = el("p", { class: "hidden", "aria-live": "polite" });
    const help = el("p", { class: "hidden", id: "graph-help" }, "Arrow keys go from node to node, Enter opens details, plus and minus zoom. The list below has the same.");
    const zoom = el("div", { class: "zoom" },
      el("button", { type: "button", "aria-label": "Zoom in", onclick: () => this.#zoomAt(1.3) }, "+"),
      el("button", { type: "button", "aria-label": "Zoom out", onclick: () => this.#zoomAt(1 / 1.3) }, "−"),
      el("button", { type: "button", "aria-label": "Show the whole mesh", onclick: () => this.#whole() }, "⤢"));
    this.element = el("div", { class: "graph" }, this.still, this.moving, zoom, this.told, help);
    this.#listen();
    this.resized = new ResizeObserver(() => this.#measure());
    this.resized.observe(this.element);
  }

  /** Show what `model.js` made of the mesh. */
  show(nodes, links, flows) {
    const shape = nodes.map((node) => `${node.id}${node.name}${node.roles}${node.path}`).join();
    const look = nodes.map((node) => node.online).join() + links.map((link) => `${link.a}${link.b}${link.link}${link.quality}`).join();
    const same = shape === this.shape && look === this.look;
    const busy = [...flows].sort((a, b) => b.out + b.back - a.out - a.back).slice(0, MOST_MOVING);
    Object.assign(this, { nodes, links, busy, look });
    this.byId = new Map(nodes.map((node) => [node.id, node]));
    if (shape !== this.shape) {
      this.shape = shape;
      this.#arrange();
    }
    if (same) this.#wake();
    else this.#redraw();
  }

  choose(id) {
    this.picked = id;
    this.#wake();
  }

  /** Colours or preferences changed. */
  refresh() {
    this.#redraw();
  }

  stop() {
    this.resized.disconnect();
    cancelAnimationFrame(this.request);
    this.request = 0;
    this.stopped = true;
  }

  // Places

  #arrange() {
    this.arrangement = arranged(this.nodes, this.wide && this.high ? this.wide / this.high : 1.6);
    this.#whole();
  }

  #measure() {
    const box = this.element.getBoundingClientRect();
    const dots = Math.min(2, devicePixelRatio || 1);
    if (!box.width || (box.width === this.wide && box.height === this.high)) return;
    Object.assign(this, { wide: box.width, high: box.height, dots });
    for (const canvas of [this.still, this.moving]) {
      canvas.width = Math.round(box.width * dots);
      canvas.height = Math.round(box.height * dots);
    }
    if (this.nodes.length) this.#arrange();
    this.#redraw();
  }

  #whole() {
    const found = [...(this.arrangement?.places.values() ?? [])];
    if (!found.length || !this.wide) return;
    const reach = (axis) => [Math.min(...found.map((each) => each[axis])), Math.max(...found.map((each) => each[axis]))];
    const [[left, right], [top, bottom]] = [reach("x"), reach("y")];
    const edge = this.nodes.length > LABELLED ? 30 : 64;
    this.scale = Math.min(1.5, (this.wide - 2 * edge) / Math.max(1, right - left), (this.high - 2 * edge) / Math.max(1, bottom - top));
    this.zoom = 1;
    this.shiftX = this.wide / 2 - ((left + right) / 2) * this.scale;
    this.shiftY = this.high / 2 - ((top + bottom) / 2) * this.scale;
    this.#redraw();
  }

  #at(id) {
    const place = this.arrangement?.places.get(id);
    if (!place) return null;
    const scale = this.scale * this.zoom;
    return { x: place.x * scale + this.shiftX, y: place.y * scale + this.shiftY };
  }

  #zoomAt(factor, x = this.wide / 2, y = this.high / 2) {
    const zoom = Math.min(CLOSEST * 4, Math.max(0.5, this.zoom * factor));
    const real = zoom / this.zoom;
    this.zoom = zoom;
    this.shiftX = x - (x - this.shiftX) * real;
    this.shiftY = y - (y - this.shiftY) * real;
    this.#redraw();
  }

  // People

  #listen() {
    const canvas = this.moving;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pressed = { x: event.offsetX, y: event.offsetY, shiftX: this.shiftX, shiftY: this.shiftY, far: false };
    });
    canvas.addEventListener("pointermove", (event) => this.#moved(event));
    canvas.addEventListener("pointerup", (event) => {
      if (this.pressed && !this.pressed.far) this.#pick(this.#near(event.offsetX, event.offsetY));
      this.pressed = null;
    });
    canvas.addEventListener("pointercancel", () => { this.pressed = null; });
    canvas.addEventListener("pointerleave", () => this.#hover(""));
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== canvas) return; // Scrolling the page is what a wheel is for.
      event.preventDefault();
      this.#zoomAt(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.#typed(event));
    calm.addEventListener("change", () => this.#redraw());
  }

  #moved(event) {
    if (!this.pressed) return this.#hover(this.#near(event.offsetX, event.offsetY));
    const [alongX, alongY] = [event.offsetX - this.pressed.x, event.offsetY - this.pressed.y];
    this.pressed.far ||= Math.hypot(alongX, alongY) > 4;
    if (!this.pressed.far) return undefined;
    this.shiftX = this.pressed.shiftX + alongX;
    this.shiftY = this.pressed.shiftY + alongY;
    return this.#redraw();
  }

  #hover(id) {
    if (id === this.under) return;
    this.under = id;
    this.moving.classList.toggle("over", id !== "");
    this.#wake();
  }

  #near(x, y) {
    let best = "";
    let least = 18;
    for (const node of this.nodes) {
      const at = this.#at(node.id);
      const far = at ? Math.hypot(at.x - x, at.y - y) : Infinity;
      if (far < least) [best, least] = [node.id, far];
    }
    return best;
  }

  #pick(id) {
    if (id) this.chosen(id);
  }

  #typed(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (ways[event.key]) this.#go(...ways[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.#pick(this.under || this.picked || this.nodes[0]?.id);
    else if (event.key === "+" || event.key === "=") this.#zoomAt(1.3);
    else if (event.key === "-") this.#zoomAt(1 / 1.3);
    else if (event.key === "0") this.#whole();
    else return;
    event.preventDefault();
  }

  #go(alongX, alongY) {
    const from = this.under || this.picked;
    const here = this.#at(from);
    if (!here) return this.#reach(this.nodes[0]?.id ?? "");
    let best = from;
    let least = Infinity;
    for (const node of this.nodes) {
      const at = this.#at(node.id);
      if (!at || node.id === from) continue;
      const forth = (at.x - here.x) * alongX + (at.y - here.y) * alongY;
      const aside = Math.abs((at.x - here.x) * alongY) + Math.abs((at.y - here.y) * alongX);
      if (forth > 1 && forth + 2 * aside < least) [best, least] = [node.id, forth + 2 * aside];
    }
    return this.#reach(best);
  }

  #reach(id) {
    this.under = id;
    const node = this.byId.get(id);
    if (node) say(this.told, `${node.name}, ${node.online ? node.link || "this node" : "no path"}`);
    this.#wake();
  }

  // Drawing

  #redraw() {
    this.dirty = true;
    this.#wake();
  }

  #wake() {
    if (!this.request && !this.stopped) this.request = requestAnimationFrame((now) => this.#frame(now));
  }

  #frame(now) {
    this.request = 0;
    if (!this.wide || !this.arrangement) return;
    if (this.dirty) this.#drawStill();
    this.dirty = false;
    this.#drawMoving(now, this.busy);
    if (this.busy.length && !calm.matches && !document.hidden) this.#wake();
  }

  #begin(canvas) {
    const pen = canvas.getContext("2d");
    pen.setTransform(this.dots, 0, 0, this.dots, 0, 0);
    pen.clearRect(0, 0, this.wide, this.high);
    return pen;
  }

  #drawStill() {
    const pen = this.#begin(this.still);
    const ink = colours();
    this.#drawSites(pen, ink);
    this.#drawLinks(pen, ink);
    for (const node of this.nodes) this.#drawNode(pen, ink, node);
    this.#drawLabels(pen, ink);
  }

  /** Names, those in the middle first; one that would cover another is left out until somebody points there. */
  #drawLabels(pen, ink) {
    const taken = [];
    const rank = (node) => (node.me ? 0 : this.arrangement.core.has(node.id) ? 1 : 2);
    if (this.nodes.length > LABELLED && this.zoom * this.scale < 0.9) return;
    for (const node of [...this.nodes].sort((one, other) => rank(one) - rank(other))) {
      const at = this.#at(node.id);
      if (!at) continue;
      const half = 3.4 * Math.min(22, node.name.length) + 3;
      const box = [at.x - half, at.y + 10, at.x + half, at.y + 28];
      if (taken.some((each) => each[0] < box[2] && box[0] < each[2] && each[1] < box[3] && box[1] < each[3])) continue;
      taken.push(box);
      label(pen, ink, node, at, false);
    }
  }

  #drawSites(pen, ink) {
    const scale = this.scale * this.zoom;
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "center";
    for (const site of this.arrangement.sites) {
      const [x, y] = [site.x * scale + this.shiftX, site.y * scale + this.shiftY];
      pen.beginPath();
      pen.arc(x, y, site.radius * scale, 0, 2 * Math.PI);
      pen.fillStyle = ink.site;
      pen.fill();
      pen.fillStyle = ink.muted;
      if (site.radius * scale > 30) pen.fillText(site.name, x, y - site.radius * scale - 6);
    }
  }

  #drawLinks(pen, ink) {
    const groups = new Map();
    for (const link of this.links) {
      const key = `${link.own ? "own" : "far"} ${link.quality} ${link.link === "websocket" ? "dashed" : ""}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(link);
    }
    const many = Math.max(0.1, Math.min(0.45, 30 / Math.max(1, this.links.length)));
    for (const [key, links] of [...groups].sort(([one], [other]) => one.localeCompare(other))) {
      const [whose, quality, dashed] = key.split(" ");
      pen.beginPath();
      for (const link of links) this.#line(pen, link);
      pen.globalAlpha = whose === "own" ? (this.links.length > 400 ? 0.5 : 0.9) : quality === "good" ? many : 0.8;
      pen.strokeStyle = { bad: ink.bad, lossy: ink.warn, good: whose === "own" ? ink.accent : ink.muted }[quality];
      pen.lineWidth = whose === "own" ? 1.6 : 1;
      pen.setLineDash(dashed ? [3, 4] : []);
      pen.stroke();
    }
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }

  #line(pen, link) {
    const [from, to] = [this.#at(link.a), this.#at(link.b)];
    if (!from || !to) return;
    pen.moveTo(from.x, from.y);
    pen.lineTo(to.x, to.y);
  }

  #drawNode(pen, ink, node, marked = false) {
    const at = this.#at(node.id);
    if (!at) return;
    const many = this.nodes.length > LABELLED;
    const central = this.arrangement.core.has(node.id);
    const size = (central ? 8 : 6) * (many ? Math.min(1, 0.45 + 0.25 * this.zoom) : 1);
    dot(pen, ink, node, at, size, marked);
    if (marked) label(pen, ink, node, at, true);
  }

  #drawMoving(now, flows) {
    const pen = this.#begin(this.moving);
    this.#drawFlows(pen, now, flows);
    for (const id of new Set([this.picked, this.under])) {
      const node = this.byId.get(id);
      if (node) this.#drawMarked(pen, colours(), node);
    }
  }

  /** A node that is chosen or pointed at, over all others, with its links. */
  #drawMarked(pen, ink, node) {
    pen.beginPath();
    for (const link of this.links) if (link.a === node.id || link.b === node.id) this.#line(pen, link);
    pen.strokeStyle = ink.text;
    pen.globalAlpha = 0.35;
    pen.lineWidth = 1.2;
    pen.stroke();
    pen.globalAlpha = 1;
    this.#drawNode(pen, ink, node, true);
  }

  #drawFlows(pen, now, flows) {
    if (!flows.length) return;
    pen.beginPath();
    for (const flow of flows) {
      const [from, to] = [this.#at(flow.a), this.#at(flow.b)];
      if (from && to) dashes(pen, flow.out >= flow.back ? [from, to] : [to, from], calm.matches ? 0 : now, flow.out + flow.back);
    }
    pen.strokeStyle = colours().accent;
    pen.lineWidth = 3.2;
    pen.stroke();
  }
}
