// The menu at the right of Step: how far to step.

import { make } from "./elements.js";
/** @import { Send, Until } from "./types.js" */

/**
 * The caret, and the menu that it opens.
 * @param {HTMLElement} box
 * @param {Until[]} until
 * @param {Send} send
 * @returns {{draw: (may: boolean) => void, close: () => void}}
 */
export function stepMenu(box, until, send) {
  const hold = make("div", "naslab-menu-hold", box);
  const caret = make("button", "naslab-button naslab-caret", hold, "▾");
  caret.type = "button";
  caret.title = "Step further: ten steps, an epoch, until something happens";
  caret.setAttribute("aria-label", "step further");
  caret.setAttribute("aria-haspopup", "menu");
  const list = make("div", "naslab-menu", hold);
  list.setAttribute("role", "menu");
  const items = () => /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[role=menuitem]")]);
  /** @type {(shown: boolean) => void} */
  const open = (shown) => {
    list.style.display = shown ? "" : "none";
    caret.setAttribute("aria-expanded", String(shown));
    if (shown) items()[0].focus();
  };
  /** @type {(text: string, does: () => void) => HTMLButtonElement} */
  const item = (text, does) => {
    const line = make("button", "naslab-menu-item", list, text);
    line.type = "button";
    line.setAttribute("role", "menuitem");
    line.tabIndex = -1;
    line.addEventListener("click", () => {
      open(false);
      caret.focus();
      does();
    });
    return line;
  };
  item("1 step", () => send({ do: "step", steps: 1 }));
  item("10 steps", () => send({ do: "step", steps: 10 }));
  const epoch = until.find(({ name }) => name === "epoch");
  if (epoch) item("to the end of the epoch", () => send({ do: "until", condition: "epoch" }));
  for (const { name, label, number } of until) {
    if (name === "epoch") continue;
    if (number === null) item(`until ${label}`, () => send({ do: "until", condition: name }));
    else {
      const row = make("div", "naslab-menu-row", list);
      const [before, after] = [...label.split("…"), "", ""];
      const line = item(`until ${before.trim()}`, () => Number.isFinite(input.valueAsNumber) && send({ do: "until", condition: name, number: input.valueAsNumber }));
      const input = make("input", "", null);
      Object.assign(input, { type: "number", step: "any", value: number });
      input.setAttribute("aria-label", label);
      input.addEventListener("keydown", (event) => {
        if (event.key === "Enter") line.click();
      });
      row.append(line, input, make("span", "", null, after.trim()));
    }
  }
  caret.addEventListener("click", () => open(list.style.display === "none"));
  hold.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const typing = event.target instanceof HTMLInputElement;
    const shown = list.style.display !== "none";
    if (event.key === "Escape" && shown) {
      open(false);
      caret.focus();
    } else if (event.key === "ArrowDown" && !typing) {
      if (shown) all[(at + 1) % all.length].focus();
      else open(true);
    } else if (event.key === "ArrowUp" && shown && !typing) all[(at - 1 + all.length) % all.length].focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  /** @type {(event: PointerEvent) => unknown} */
  const outside = (event) => list.style.display !== "none" && !hold.contains(/** @type {Node} */ (event.target)) && open(false);
  document.addEventListener("pointerdown", outside);
  open(false);
  return {
    draw(may) {
      caret.disabled = !may;
      if (!may) open(false);
    },
    close: () => document.removeEventListener("pointerdown", outside),
  };
}
