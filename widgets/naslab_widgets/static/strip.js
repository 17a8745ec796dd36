// The buttons that drive: play, pause, step, freeze.

import { make } from "./elements.js";
import { stepMenu } from "./step_menu.js";
/** @import { DrawSection, SectionContext, StripAbout, StripState } from "./types.js" */

const BUTTONS = [
  ["play", "▶", "Play", "Go on to the end"],
  ["pause", "❚❚", "Pause", "Stand still after the step under way"],
  ["step", "▏▶", "Step", "Do exactly one step"],
];

/** @type {Record<string, string>} */
const FROZEN_SIGNS = { alphas: "α", weights: "w", controller: "π" };

/**
 * Play, pause, step, and a button for each part of the search that can be frozen.
 * @param {HTMLElement} parent
 * @param {Pick<SectionContext<StripAbout>, "send" | "about" | "root">} context
 * @returns {DrawSection}
 */
export function stripSection(parent, { send, about, root }) {
  const box = make("div", "naslab-buttons", parent);
  const buttons = BUTTONS.map(([name, sign, label, title]) => {
    const button = make("button", `naslab-button naslab-${name}`, box);
    make("span", "naslab-sign", button, sign).setAttribute("aria-hidden", "true");
    make("span", "", button, label);
    button.type = "button";
    button.title = title;
    button.addEventListener("click", () => send({ do: name }));
    return { name, button };
  });
  const menu = about.several ? stepMenu(box, about.until, send) : null;
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
  /** @type {string[]} */
  let can = [];
  /** @type {(event: KeyboardEvent) => void} */
  const press = (event) => {
    const panel = root.closest(".naslab-lab") || root;
    if (event.defaultPrevented || !panel.contains(/** @type {Node} */ (event.target))) return;
    const does = keyDoes(event, can);
    if (!does) return;
    event.preventDefault();
    send({ do: does });
  };
  document.addEventListener("keydown", press);
  /** @param {StripState} state */
  function draw(state) {
    can = state.can;
    for (const { name, button } of buttons) button.disabled = !can.includes(name);
    menu?.draw(can.includes("step"));
    freezers.forEach((button, i) => {
      button.setAttribute("aria-pressed", String(Boolean(state.frozen[i])));
      button.disabled = !can.length;
    });
  }
  draw.close = () => {
    document.removeEventListener("keydown", press);
    menu?.close();
  };
  return draw;
}

/**
 * The action of a key: Space plays or pauses, a full stop steps, unless the focused control uses the key itself.
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
