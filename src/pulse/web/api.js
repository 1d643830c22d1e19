// The node's HTTP API. The key is sent as a header and kept in the memory of this page alone: what pages store browsers
// write to disk, and hand to whatever else is served at this address later. It is shown only while the node holds the stream
// of events open, and forgotten with that: whoever answers at its port then may be another program.

import { fits } from "./shapes.js";

const FORM = /^[\x21-\x7e]{1,256}$/;
const STREAM = "/api/events";
const TOLD = "text/event-stream";
const AHEAD = ["/api/key", STREAM]; // What shows the key before the stream is open: whether it is good, and the stream.
const LAST_WORDS = ": the key was revoked"; // What a stream of events ends with then.

const REVOKED = "This key is good no more: it was revoked. Sign in with another one.";
const LOST = "The node is out of touch: it was stopped, or the way to it broke. Another program may answer here now, so the key was forgotten. Sign in again once its machine says that it runs: pulse status";
const FULL = "Nothing is shown without a place there: close another tab with this page, then sign in again.";
const strange = (path) => `What came from ${path} is no answer of a node of this release, so the key was forgotten. Reload the page; and see on its machine: pulse version`;

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
  #begin;
  #begun = new Promise((resolve) => { this.#begin = resolve; });

  /** `ended` is told why, once the key is shown to nobody any more. */
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
    const said = answer.status === 204 ? null : await answer.json().catch(() => undefined);
    if (fits(method, path, said)) return said;
    throw this.#end(strange(path));
  }

  async #send(method, path, headers, body, signal) {
    if (!AHEAD.includes(path)) await this.#begun;
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
        redirect: "error",
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      this.#end(LOST);
      throw new ApiError(0, "The node does not answer. See on its machine: pulse status, pulse logs");
    }
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => null);
    if (typeof problem?.detail !== "string") throw this.#end(strange(path));
    if (answer.status === 401) this.#end(REVOKED);
    throw new ApiError(answer.status, problem.detail);
  }

  /** Show the key to nobody any more, and tell why; the error that says so, too. */
  #end(why) {
    if (this.#key) {
      this.#key = "";
      this.#begin(); // Who waits for it goes on, and has no key to show.
      this.#ended(why);
    }
    return new ApiError(0, why);
  }

  /** Tell each event as it happens, until `signal` aborts it or the stream ends, which ends all: the node holds it open. */
  async follow(tell, opened, signal) {
    let why = LOST;
    try {
      const answer = await this.#send("GET", STREAM, { Accept: TOLD }, undefined, signal);
      if (!answer.headers.get("Content-Type")?.startsWith(TOLD)) throw this.#end(strange(STREAM));
      this.#begin();
      opened();
      if (await heard(answer.body, tell)) why = REVOKED;
    } catch (error) {
      // Nor is it asked for again: between two tries the node may go, and the second would show another program the key.
      if (error.status) why = error.status === 503 ? `${error.message}. ${FULL}` : error.message;
    } finally {
      this.#end(why);
    }
  }
}

/** Tell each event of a stream until it ends; true if it did because the key was revoked. */
async function heard(stream, tell) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let revoked = false;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const blocks = (text + part.value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").find((line) => line.startsWith("data: "));
      if (data) tell(JSON.parse(data.slice(6)));
      revoked ||= block === LAST_WORDS;
    }
  }
  return revoked;
}
