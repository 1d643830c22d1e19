// The node's HTTP API. The key is sent as a header and kept in the memory of this page alone: what pages store browsers
// write to disk, and hand to whatever else is served at this address later.

import { fits } from "./shapes.js";

const FORM = /^[\x21-\x7e]{1,256}$/;

/** What the node, or the way to it, said no with; `status` is 0 if there was no answer. */
export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export class Api {
  #key;
  #refused;

  /** `refused` is called once the key is good no more. */
  constructor(key, refused = () => {}) {
    this.#key = key;
    this.#refused = refused;
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
      throw new ApiError(0, "The node does not answer. See on its machine: pulse status, pulse logs");
    }
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    if (answer.status === 401) this.#refused();
    throw new ApiError(answer.status, problem.detail ?? `${answer.status} ${answer.statusText}`);
  }

  /** Tell each event as it happens, until the stream ends or `signal` aborts it. */
  async follow(tell, opened, signal) {
    const answer = await this.#send("GET", "/api/events", { Accept: "text/event-stream" }, undefined, signal);
    opened();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const blocks = (text + part.value).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const data = block.split("\n").find((line) => line.startsWith("data: "));
        if (data) tell(JSON.parse(data.slice(6)));
      }
    }
  }
}
