// Makes elements. All text becomes text nodes, so names, tags and notes are shown and never read as markup.

/** An element: `properties` are attributes, but `on…` handlers and `class`; children are nodes or text. */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  made.append(...children.flat().filter((each) => each !== null && each !== undefined && each !== ""));
  return made;
}

/** Text of an element, touched only if it is another. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const byId = (id) => document.getElementById(id);

/** A word in a rounded frame. */
export const chip = (text, kind = "") => el("span", { class: `chip ${kind}` }, text);

/** Terms and what they are; pairs whose second is empty are left out. */
export function facts(pairs) {
  const rows = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return el("dl", { class: "facts" }, rows.flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, value)]));
}

/** A labelled field of a form. */
export function field(label, name, properties = {}, tag = "input", ...children) {
  const id = `field-${name}`;
  return el("div", { class: "field" }, el("label", { for: id }, label), el(tag, { id, name, ...properties }, ...children));
}

let asked = new AbortController();

/** Ask before something that cannot be taken back; resolves to true if the answer is yes. */
export function confirmed(title, text, yes) {
  const dialog = byId("confirm");
  say(byId("confirm-title"), title);
  say(byId("confirm-text"), text);
  say(byId("confirm-yes"), yes);
  // Not by the event `close`: that of the question before may come when this one is open already.
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  dialog.showModal();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(false));
    dialog.firstElementChild.addEventListener("submit", (event) => resolve(event.submitter?.value === "yes"), { signal });
    dialog.addEventListener("cancel", () => resolve(false), { signal });
  });
}

/** Take the question away, if one is asked: nobody says yes to it. */
export function unasked() {
  asked.abort();
  byId("confirm").close();
}

/** Where a view says what went wrong; empty while nothing did. */
export const problemLine = () => el("p", { class: "problem", role: "alert" });

/** The error of a request in words, with the next step where the key is what lacks. */
export function worded(error) {
  const lacks = error.status === 403 && error.message.includes("this key is good for read");
  return lacks ? `${error.message}. Sign in with one that may: pulse api-key create me --scope write` : error.message;
}
