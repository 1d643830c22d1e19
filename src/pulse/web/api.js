// The node's HTTP API. The key is sent as a header and kept in the memory of this page alone: what pages store browsers
// write to disk, and hand to whatever else is served at this address later. It is forgotten once the node is out of touch:
// whoever answers at its port then may be another program.

import { fits } from "./shapes.js";

const FORM = /^[\x21-\x7e]{1,256}$/;
const REVOKED = ": the key was revoked"; // What a stream of events ends with then.

/** What the node, or the way to it, said no with; `status` is 0 if there was no answer. */
export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export class Api {
  #key;
  #ended;

  /** `ended` is told once the key is shown to nobody any more: whether it was revoked, or else the node is out of touch. */
  constructor(key, ended = () => {}) {
    this.#key = key;
    this.#ended = ended;
  }

  get = (path) => this.#ask("GET", path);
  post = (path, body) => this.#ask("POST", path, body);
  put = (path, body) => this.#ask("PUT", path, body);
  remove = (path, body) => this.#ask("DELETE", path, body);

  async #ask(method, path, body) {
    const answer = await this.#send(method, path, { Accept: "application/json" }, body);
    if (answer.status === 204) return null;
    const said = await answer.json().catch(() => undefined);
    if (fits(method, path, said)) return said;
    throw new ApiError(0, `What came from ${path} is no answer of a node of this release. Reload the page; and see on its machine: pulse version`);
  }

  async #send(method, path, headers, body, signal) {
    if (!FORM.test(this.#key)) throw new ApiError(401, "That is no key: one begins with plk_ and has no spaces.");
    const sent = { ...headers, Authorization: `Bearer ${this.#key}` };
    if (body !== undefined) sent["Content-Type"] = "application/json";
    let answer;
    try {
      answer = await fetch(path, {
        method,
        headers: sent,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal,
        cache: "no-store",
        credentials: "omit",
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      this.#end(false);
      throw new ApiError(0, "The node does not answer. See on its machine: pulse status, pulse logs");
    }
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    if (answer.status === 401) this.#end(true);
    throw new ApiError(answer.status, problem.detail ?? `${answer.status} ${answer.statusText}`);
  }

  #end(revoked) {
    this.#key = "";
    this.#ended(revoked);
  }

  /** Tell each event as it happens, until `signal` aborts it or the stream ends, which ends all: the node holds it open. */
  async follow(tell, opened, signal) {
    const answer = await this.#send("GET", "/api/events", { Accept: "text/event-stream" }, undefined, signal);
    opened();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    let revoked = false;
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const blocks = (text + part.value).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) {
          const data = block.split("\n").find((line) => line.startsWith("data: "));
          if (data) tell(JSON.parse(data.slice(6)));
          revoked ||= block === REVOKED;
        }
      }
    } finally {
      if (!signal.aborted) this.#end(revoked);
    }
  }
}
