// What of each answer the views go by: what has not even that comes from no node, and is told as a fault.

const PEERS = { peers: [{ id: "", name: "", roles: [], tags: [], path: [] }] };

/** Answers by their path, without what is asked behind it; a list of one stands for all that are in it. */
const SHAPES = {
  "/api/key": { scope: "" },
  "/api/status": { node: { id: "", name: "", network: "", roles: [], tags: [] }, sentence: "", ...PEERS },
  "/api/topology": { nodes: [""], links: [{ one: 0, other: 0, link: "" }] },
  "/api/stats": { rows: [{ id: "", name: "" }] },
  "/api/events": { events: [{ seq: 0, time: 0, type: "", name: "", fields: {} }] },
  "/api/certs": [{ id: "" }],
  "/api/dns": [{ name: "", type: "", value: "" }],
  "/api/tokens": [{ id: "", state: "", tags: [] }],
  "/api/routes": [{ cidr: "", id: "", name: "", state: "" }],
  "/api/acls": { rules: [{ id: "", from: [], to: [], proto: [], ports: [] }], groups: [{ name: "", members: [] }], tests: [{ id: "", line: "" }] },
  "/api/acls/hits": { rules: [{ id: "" }] },
  "/api/acls/explain": { sentence: "", enforced: [] },
  "/api/why": { sentence: "", source: { name: "" }, node: { name: "" } },
  "/api/name": { name: "", tags: [] },
  "/api/tags": { name: "", tags: [] },
};

/** False if an answer is none of its path; what a path is not known for fits. Made tokens are POSTed to a path of lists. */
export function fits(method, path, answer) {
  const shape = Object.entries(SHAPES).find(([each]) => each === path.split("?")[0])?.[1];
  return shape === undefined || (method !== "GET" && Array.isArray(shape)) || like(shape, answer);
}

function like(shape, found) {
  if (Array.isArray(shape)) return Array.isArray(found) && (shape.length === 0 || found.every((each) => like(shape[0], each)));
  if (typeof shape !== "object") return typeof found === typeof shape;
  if (typeof found !== "object" || found === null) return false;
  return Object.entries(shape).every(([name, inner]) => like(inner, found[name]));
}
