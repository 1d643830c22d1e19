// Numbers as people read them; what is not known is a dash.

/** Orders texts as people do: node-2 before node-10. */
export const byName = new Intl.Collator(undefined, { numeric: true }).compare;

const NONE = "–";

export const ms = (seconds) => (seconds === null || seconds === undefined ? NONE : `${(seconds * 1000).toFixed(seconds < 0.1 ? 1 : 0)} ms`);

export const percent = (share) => (share === null || share === undefined ? NONE : `${share > 0 && share < 0.1 ? (share * 100).toFixed(1) : Math.round(share * 100)} %`);

export function bytes(count) {
  if (count === null || count === undefined) return NONE;
  let value = count;
  for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
    if (value < 1000 || unit === "TB") return `${value < 10 && unit !== "B" ? value.toFixed(1) : Math.round(value)} ${unit}`;
    value /= 1000;
  }
  return NONE;
}

export const rate = (count) => (count === null || count === undefined ? NONE : `${bytes(count)}/s`);

export function span(seconds) {
  const value = Math.abs(seconds);
  if (value < 90) return `${Math.round(value)} s`;
  if (value < 5400) return `${Math.round(value / 60)} min`;
  if (value < 129600) return `${Math.round(value / 3600)} h`;
  return `${Math.round(value / 86400)} d`;
}

export function seen(seconds) {
  if (seconds === null || seconds === undefined) return "never";
  return seconds < 1 ? "now" : `${span(seconds)} ago`;
}

export const since = (time) => (time === null || time === undefined ? NONE : `${span(Date.now() / 1000 - time)} ago`);

/** A moment from now on, or that it is over. */
export function until(time) {
  if (time === null || time === undefined) return "never";
  const left = time - Date.now() / 1000;
  return left > 0 ? `in ${span(left)}` : `${span(left)} ago`;
}

export const clock = (time) => new Date(time * 1000).toLocaleTimeString([], { hour12: false });

export const short = (id) => id.slice(0, 12);
