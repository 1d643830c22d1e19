// Where nodes are drawn: relays in the middle, sites around, as on a whiteboard. The same mesh always looks the same.

import { byName } from "./format.js";

const SPACING = 46;
const GAP = 60;
const MOST_CORE = 12;
const GOLDEN = Math.PI * (3 - Math.sqrt(5));

/** The site of a node: what people call its machines by, else the network it is seen in. */
function siteOf(node, prefixes) {
  const prefix = prefixOf(node.name);
  if (prefixes.get(prefix) > 1) return prefix;
  const network = /^(\d+\.\d+\.\d+)\.\d+:/.exec(node.address ?? "");
  return network ? `${network[1]}.*` : "";
}

const prefixOf = (name) => /^[^\d.\-_]*/.exec(name)[0] || name;

function coreOf(nodes) {
  const carried = new Map();
  for (const node of nodes) for (const hop of node.path.slice(0, -1)) carried.set(hop, (carried.get(hop) ?? 0) + 1);
  const weight = (node) => (node.me ? 1e6 : 0) + (node.roles.some((role) => ["ca", "scribe"].includes(role)) ? 1e5 : 0)
    + (node.roles.includes("exit") ? 1e4 : 0) + (carried.get(node.id) ?? 0);
  const ranked = nodes.map((node) => [weight(node), node]).filter(([found]) => found > 0);
  return ranked.sort(([one, a], [other, b]) => other - one || a.id.localeCompare(b.id)).slice(0, MOST_CORE).map(([, node]) => node);
}

/** Places by id, `{x, y}`, and sites, `{x, y, radius, name}`; `aspect` is width by height of where they are drawn. */
export function arranged(nodes, aspect) {
  const core = coreOf(nodes);
  const inside = new Set(core);
  const outside = nodes.filter((node) => !inside.has(node)).sort((a, b) => byName(a.name, b.name));
  const places = new Map();
  const middle = core.length < 2 ? 0 : Math.max(44, (core.length * SPACING * 1.5) / (2 * Math.PI));
  const stretch = Math.min(2, Math.max(0.7, aspect));
  core.forEach((node, place) => {
    const turn = (2 * Math.PI * place) / core.length - Math.PI / 2;
    places.set(node.id, { x: middle * stretch * Math.cos(turn), y: middle * Math.sin(turn) });
  });
  const sites = sitesOf(outside);
  around(sites, middle, stretch);
  for (const site of sites) spread(site, places);
  return { places, sites: sites.filter((site) => site.name && site.nodes.length > 1), core: new Set(core.map((node) => node.id)) };
}

function sitesOf(nodes) {
  const prefixes = new Map();
  for (const node of nodes) prefixes.set(prefixOf(node.name), (prefixes.get(prefixOf(node.name)) ?? 0) + 1);
  const found = new Map();
  for (const node of nodes) {
    const name = siteOf(node, prefixes);
    const key = name || node.id;
    if (!found.has(key)) found.set(key, { name, nodes: [] });
    found.get(key).nodes.push(node);
  }
  const sites = [...found.values()];
  for (const site of sites) site.radius = site.nodes.length === 1 ? SPACING * 0.6 : SPACING * (0.55 + 0.62 * Math.sqrt(site.nodes.length));
  return sites;
}

function around(sites, middle, stretch) {
  const length = sites.reduce((sum, site) => sum + 2 * site.radius + GAP, 0);
  const widest = Math.max(0, ...sites.map((site) => site.radius));
  const ring = Math.max(middle + widest + GAP, length / (2 * Math.PI * Math.sqrt((1 + stretch * stretch) / 2)));
  let along = 0;
  for (const site of sites) {
    const half = site.radius + GAP / 2;
    const turn = (2 * Math.PI * (along + half)) / (length || 1) - Math.PI / 2;
    along += 2 * half;
    site.x = ring * stretch * Math.cos(turn);
    site.y = ring * Math.sin(turn);
  }
}

function spread(site, places) {
  const count = site.nodes.length;
  site.nodes.forEach((node, place) => {
    if (count <= 6) {
      const out = count === 1 ? 0 : site.radius * 0.58;
      const turn = (2 * Math.PI * place) / count - Math.PI / 2;
      places.set(node.id, { x: site.x + out * Math.cos(turn), y: site.y + out * Math.sin(turn) });
      return;
    }
    const out = (site.radius - SPACING * 0.4) * Math.sqrt((place + 0.5) / count);
    places.set(node.id, { x: site.x + out * Math.cos(place * GOLDEN), y: site.y + out * Math.sin(place * GOLDEN) });
  });
}
