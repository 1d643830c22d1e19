// The dashboard: signs in, looks at the mesh every few seconds, and shows one view at a time.

import { Api } from "./api.js";
import { DnsView } from "./dns.js";
import { byId, el, say, unasked, worded } from "./dom.js";
import { EventLog, EventsView } from "./events.js";
import { short } from "./format.js";
import { MeshView } from "./mesh.js";
import { Flows, linksOf, nodesOf } from "./model.js";
import { PolicyView } from "./policy.js";
import { RoutesView } from "./routes.js";
import { themed } from "./theme.js";
import { TokensView } from "./tokens.js";
import { Traffic, TrafficView } from "./traffic.js";

const VIEWS = {
  mesh: ["Mesh", MeshView], policy: ["Policy", PolicyView], tokens: ["Tokens", TokensView], routes: ["Routes", RoutesView],
  dns: ["DNS", DnsView], events: ["Events", EventsView], traffic: ["Traffic", TrafficView],
};
const LOOK_EVERY = 4000;
const SHARE = 20; // Looking costs the node time: a look that took long is followed by a longer pause.

let session = null;

class Session {
  /** `writes`: the key may change things. */
  constructor(key, writes) {
    this.writes = writes;
    this.ended = new AbortController();
    this.api = new Api(key, (why) => this.#ended(why));
    this.flows = new Flows();
    this.events = new EventLog(this.api, this.ended.signal);
    this.traffic = new Traffic(this.api, this.ended.signal);
    this.mesh = null;
    this.view = null;
  }

  start() {
    this.events.follow();
    this.traffic.follow();
    this.#tabs();
    this.route();
    this.#look();
  }

  stop() {
    this.ended.abort();
    clearTimeout(this.timer);
    this.view?.stop?.();
    this.view = null;
    byId("main").replaceChildren();
  }

  /** An answer to a question of before may still come when somebody signs in anew. */
  #ended(why) {
    if (session === this) signOut(why);
  }

  #tabs() {
    byId("tabs").replaceChildren(...Object.entries(VIEWS).map(([name, [title]]) =>
      el("li", {}, el("a", { href: `#${name}`, id: `tab-${name}` }, title))));
  }

  route() {
    const [name, rest = ""] = location.hash.slice(1).split("/");
    const wanted = Object.hasOwn(VIEWS, name) ? name : "mesh";
    if (this.shown !== wanted) {
      this.view?.stop?.();
      this.view = new VIEWS[wanted][1]({ api: this.api, go: (where) => { location.hash = where; }, session: this });
      this.shown = wanted;
      byId("main").replaceChildren(this.view.element);
      for (const each of Object.keys(VIEWS)) {
        if (each === wanted) byId(`tab-${each}`).setAttribute("aria-current", "page");
        else byId(`tab-${each}`).removeAttribute("aria-current");
      }
      document.title = `${VIEWS[wanted][0]} · pulse`;
      if (this.mesh) this.view.show?.(this.mesh);
    }
    this.view.open?.(rest);
  }

  async #look() {
    const began = performance.now();
    try {
      if (!document.hidden || !this.mesh) await this.#see();
      trouble("");
    } catch (error) {
      if (this.ended.signal.aborted) return;
      trouble(`${worded(error)}${this.mesh ? " What is shown is as it was." : ""}`);
    }
    if (this.ended.signal.aborted) return;
    this.timer = setTimeout(() => this.#look(), Math.max(LOOK_EVERY, SHARE * (performance.now() - began)));
  }

  async #see() {
    const [status, topology] = await Promise.all([this.api.get("/api/status"), this.api.get("/api/topology")]);
    if (this.ended.signal.aborted) return;
    const nodes = nodesOf(status);
    this.mesh = { status, nodes, links: linksOf(topology, nodes), flows: this.flows.seen(status.peers, status.node.id, performance.now() / 1000) };
    say(byId("network"), status.node.network);
    say(byId("sentence"), status.sentence);
    byId("sentence").classList.toggle("unwell", !status.well);
    say(byId("whoami"), `${status.node.name} · ${short(status.node.id)}`);
    this.view.show?.(this.mesh);
  }
}

function trouble(text) {
  const line = byId("trouble");
  line.hidden = !text;
  say(line, text);
}

async function signIn(key) {
  say(byId("key-error"), "");
  let good;
  try {
    good = await new Api(key).get("/api/key");
  } catch (error) {
    const unknown = error.status === 401 && key.startsWith("plk_");
    return showDoor(unknown ? "This node knows no such key: it is mistyped, was revoked, or belongs to another node. See them there: pulse api-key list" : error.message);
  }
  byId("door").hidden = true;
  byId("app").hidden = false;
  session = new Session(key, good.scope === "write");
  session.start();
  byId("main").focus({ preventScroll: true });
  return undefined;
}

function showDoor(problem = "") {
  byId("app").hidden = true;
  byId("door").hidden = false;
  byId("key").value = "";
  byId("key").focus();
  say(byId("key-error"), problem);
  byId("key").toggleAttribute("aria-invalid", Boolean(problem));
  document.title = "Sign in · pulse";
}

function signOut(problem = "") {
  unasked();
  session?.stop();
  session = null;
  trouble("");
  showDoor(problem);
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId("key").value.trim());
});
byId("sign-out").addEventListener("click", () => signOut());
window.addEventListener("hashchange", () => session?.route());
themed(() => session?.view?.refresh?.());
showDoor();
