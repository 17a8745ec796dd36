// The buttons that drive: play, pause, step.

import { make } from "./shared.js";

const BUTTONS = [
  ["play", "▶", "Play", "Go on to the end"],
  ["pause", "❚❚", "Pause", "Stand still after the step under way"],
  ["step", "▏▶", "Step", "Do exactly one step"],
];

const FROZEN_SIGNS = { alphas: "α", weights: "w", controller: "π" };

export function stripSection(parent, { send, about, root }) {
  const box = make("div", "naslab-buttons", parent);
  const buttons = BUTTONS.map(([name, sign, label, title]) => {
    const button = make("button", `naslab-button naslab-${name}`, box);
    make("span", "naslab-sign", button, sign).setAttribute("aria-hidden", "true");
    make("span", "", button, label);
    button.type = "button";
    button.title = title;
    button.addEventListener("click", () => send({ do: name }));
    return [name, button];
  });
  const menu = about.several ? menuView(box, about.until, send) : null;
  const freezers = (about.frozen || []).map((what) => {
    const button = make("button", "naslab-button naslab-freeze", box);
    make("span", "", button, `${FROZEN_SIGNS[what] || what} `);
    make("span", "", button, "❄").setAttribute("aria-hidden", "true");
    button.type = "button";
    button.setAttribute("aria-label", `freeze ${what}`);
    button.title = `Freeze: the ${what} stand still from the next step on, with all that their optimiser keeps`;
    button.addEventListener("click", () => send({ do: "freeze", what, value: button.getAttribute("aria-pressed") !== "true" }));
    return button;
  });
  let can = [];
  const press = (event) => {
    const panel = root.closest(".naslab-lab") || root;
    if (event.defaultPrevented || !panel.contains(event.target)) return;
    const does = keyDoes(event, can);
    if (!does) return;
    event.preventDefault();
    send({ do: does });
  };
  document.addEventListener("keydown", press);
  function draw(state) {
    can = state.can;
    for (const [name, button] of buttons) button.disabled = !can.includes(name);
    menu?.draw(can.includes("step"));
    freezers.forEach((button, i) => {
      button.setAttribute("aria-pressed", Boolean(state.frozen[i]));
      button.disabled = !can.length;
    });
  }
  draw.close = () => {
    document.removeEventListener("keydown", press);
    menu?.close();
  };
  return draw;
}

// What a key does in the panel: Space plays or pauses, a full stop steps, unless the control that has the focus uses it.
/**
 * @param {{key: string, ctrlKey?: boolean, metaKey?: boolean, altKey?: boolean, target?: any}} event
 * @param {string[]} can The controls that can be used now.
 * @returns {"play" | "pause" | "step" | null}
 */
export function keyDoes({ key, ctrlKey, metaKey, altKey, target }, can) {
  if (ctrlKey || metaKey || altKey) return null;
  const typing = target?.closest?.("input:not([type=range]):not([type=checkbox]), select, textarea, [contenteditable=true], .cm-editor");
  if (key === "." && !typing) return can.includes("step") ? "step" : null;
  if (key !== " " || typing || target?.closest?.("button, summary, a, input, [role=button], [role=slider], [role=radio], [role=menuitem]")) return null;
  return can.includes("pause") ? "pause" : can.includes("play") ? "play" : null;
}

// How far to step: behind the caret at the right of Step.
function menuView(box, until, send) {
  const hold = make("div", "naslab-menu-hold", box);
  const caret = make("button", "naslab-button naslab-caret", hold, "▾");
  caret.type = "button";
  caret.title = "Step further: ten steps, an epoch, until something happens";
  caret.setAttribute("aria-label", "step further");
  caret.setAttribute("aria-haspopup", "menu");
  const list = make("div", "naslab-menu", hold);
  list.setAttribute("role", "menu");
  const open = (shown) => {
    list.style.display = shown ? "" : "none";
    caret.setAttribute("aria-expanded", shown);
    if (shown) list.querySelector("[role=menuitem]").focus();
  };
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
    const items = [...list.querySelectorAll("[role=menuitem]")];
    const at = items.indexOf(document.activeElement);
    const shown = list.style.display !== "none";
    if (event.key === "Escape" && shown) {
      open(false);
      caret.focus();
    } else if (event.key === "ArrowDown" && event.target.tagName !== "INPUT") {
      if (shown) items[(at + 1) % items.length].focus();
      else open(true);
    } else if (event.key === "ArrowUp" && shown && event.target.tagName !== "INPUT") items[(at - 1 + items.length) % items.length].focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const outside = (event) => list.style.display !== "none" && !hold.contains(event.target) && open(false);
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

export function choiceSection(parent, { send, about }) {
  const box = make("div", "naslab-choice", parent);
  box.setAttribute("role", "radiogroup");
  box.setAttribute("aria-label", about.title);
  const buttons = about.options.map(([name, told]) => {
    const button = make("button", "naslab-button", box, name);
    button.type = "button";
    button.title = told;
    button.addEventListener("click", () => {
      draw(name); // a kernel that is busy will hear of it later; views that can turn by themselves do it now
      button.dispatchEvent(new CustomEvent("naslab-choice", { bubbles: true, detail: name }));
      send({ value: name });
    });
    return [name, button];
  });
  function draw(value) {
    for (const [name, button] of buttons) button.setAttribute("aria-pressed", name === value);
  }
  return draw;
}
