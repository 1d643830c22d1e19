"""What a page is to those who do not see it, go by keyboard, or see little: by the browser's own word."""

from collections.abc import Iterator
from typing import Any, Final

from tests.chromium import Page

CONTROLS: Final = frozenset(
    {
        "button",
        "link",
        "textbox",
        "searchbox",
        "combobox",
        "spinbutton",
        "checkbox",
        "application",
        "DisclosureTriangle",
    }
)
"""Roles of what one acts on."""

LEAST: Final = 4.5
"""Contrast of text that can be read (WCAG 2, AA)."""

FAINT: Final = """
(() => {
  const parsed = (text) => {
    const found = text.match(/[\\d.]+/g).map(Number);
    return [found[0], found[1], found[2], found[3] ?? 1];
  };
  const over = (top, under) => [0, 1, 2].map((each) => top[each] * top[3] + under[each] * (1 - top[3]));
  const part = (value) => (value <= 10.31 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const light = (colour) => 0.2126 * part(colour[0]) + 0.7152 * part(colour[1]) + 0.0722 * part(colour[2]);
  const ground = (element) => {
    if (!element) return [255, 255, 255];
    const own = parsed(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, ground(element.parentElement));
  };
  const faint = [];
  const judge = (element, style, text) => {
    const [ink, paper] = [light(over(parsed(style.color), ground(element))), light(ground(element))];
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    const where = `${element.tagName} ${element.className}: ${text.slice(0, 40)}`;
    if (ratio < LEAST || style.opacity < 1) faint.push(`${ratio.toFixed(2)} ${where}`);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const element = text.parentElement;
    if (text.data.trim() && element.checkVisibility()) judge(element, getComputedStyle(element), text.data);
  }
  for (const field of document.querySelectorAll("input")) {
    if (!field.checkVisibility()) continue;
    judge(field, getComputedStyle(field), "what is typed");
    if (field.placeholder) judge(field, getComputedStyle(field, "::placeholder"), field.placeholder);
  }
  return [...new Set(faint)];
})()
""".replace("LEAST", str(LEAST))

REACHED: Final = """
(() => {
  const reached = document.activeElement;
  if (reached === document.body || passed.includes(reached)) return "";
  passed.push(reached);
  return `${reached.tagName} ${reached.id || reached.textContent}`;
})()
"""


def nodes(page: Page) -> list[dict[str, Any]]:
    """The accessibility tree, but for what is left out of it."""
    return [each for each in page.call("Accessibility.getFullAXTree")["nodes"] if not each.get("ignored")]


def role(node: dict[str, Any]) -> str:
    """What it is."""
    return str(node.get("role", {}).get("value", ""))


def name(node: dict[str, Any]) -> str:
    """What it is called."""
    return str(node.get("name", {}).get("value", ""))


def nameless(page: Page) -> list[str]:
    """Controls that nobody can tell from others by ear."""
    return [role(each) for each in nodes(page) if role(each) in CONTROLS and not name(each).strip()]


def properties(node: dict[str, Any]) -> dict[str, Any]:
    """What else is told of it, such as `live`."""
    return {each["name"]: each["value"].get("value") for each in node.get("properties", [])}


def announced(page: Page) -> set[str]:
    """Roles of what is told when it changes."""
    return {role(each) for each in nodes(page) if properties(each).get("live") in ("polite", "assertive")}


def faint(page: Page, theme: str) -> list[str]:
    """Texts with less contrast than can be read, in the `light` or `dark` theme."""
    # Without motion: colours that change by and by are none of a theme.
    wanted = {"prefers-color-scheme": theme, "prefers-reduced-motion": "reduce"}
    page.call("Emulation.setEmulatedMedia", features=[{"name": each, "value": wanted[each]} for each in wanted])
    return list(page.run(FAINT))


def tabbed(page: Page, first: str, most: int = 200) -> Iterator[str]:
    """What Tab leads to after the element `first`, one after the other, until it leaves the page."""
    page.run(f"window.passed = []; document.querySelector({first!r}).focus()")
    while (told := page.run(REACHED)) and most:
        yield told
        most -= 1
        for kind in ("rawKeyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)


def out_of_order(page: Page) -> int:
    """How often Tab led up the page; call after `tabbed`."""
    script = "passed.filter((each, at) => at && !(passed[at - 1].compareDocumentPosition(each) & 4)).length"
    return int(page.run(script))
