// Light, dark, or as the system has it; and the colours of the style sheet, for canvases.

import { byId, say } from "./dom.js";

const KEPT = "pulse.theme";
const ORDER = ["auto", "light", "dark"];
const NAMES = ["text", "muted", "line", "surface", "site", "accent", "soft", "warn", "bad"];
let found = null;

/** The colours in force, by name. */
export function colours() {
  if (found) return found;
  const probe = document.createElement("span");
  document.body.append(probe);
  found = {};
  for (const name of NAMES) {
    probe.style.color = `var(--${name})`;
    found[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return found;
}

/** Wire the button; `changed` is called after each change. */
export function themed(changed) {
  const button = byId("theme");
  const apply = (choice) => {
    if (choice === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
    say(button, { auto: "Auto", light: "Light", dark: "Dark" }[choice]);
    button.setAttribute("aria-label", `Colours: ${choice}`);
    found = null;
    changed();
  };
  let choice = ORDER.includes(localStorage.getItem(KEPT)) ? localStorage.getItem(KEPT) : "auto";
  button.addEventListener("click", () => {
    choice = ORDER[(ORDER.indexOf(choice) + 1) % ORDER.length];
    localStorage.setItem(KEPT, choice);
    apply(choice);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(choice));
  apply(choice);
}
