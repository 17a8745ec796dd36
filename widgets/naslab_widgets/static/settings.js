// The settings of a search, each with a control: in the strip, or in a drawer where there are many.

import { MAKE } from "./controls.js";
import { make } from "./elements.js";
/** @import { DrawSection, SectionContext, Send, Setting, SettingsAbout, SettingsState } from "./types.js" */

const MOST = 4; // with more settings than this, they are in a drawer

/**
 * A control for each setting, with its name above it.
 * @param {HTMLElement} parent
 * @param {Pick<SectionContext<SettingsAbout>, "send" | "about" | "root">} context
 * @returns {DrawSection}
 */
export function settingsSection(parent, { send, about, root }) {
  const folded = about.settings.length > MOST;
  const drawer = folded ? drawerView(parent, root) : null;
  const box = make("div", "naslab-settings", drawer ? drawer.box : parent);
  const controls = about.settings.map((setting, place) => {
    const hold = folded ? make("div", "naslab-setting-hold", box) : box;
    const label = make("label", "naslab-setting", hold);
    label.title = setting.description || setting.name;
    const head = make("span", "naslab-setting-head", label);
    make("span", "naslab-setting-name", head, setting.group ? `${setting.group}: ${setting.name}` : setting.name);
    const shown = make("span", "naslab-setting-value", head);
    const back = folded && about.back?.[place] ? backButton(hold, setting, send) : null;
    /** @type {(value: unknown) => void} */
    const turn = (value) => send({ set: setting.name, value, group: setting.group });
    return { setting, shown, place, back, ...MAKE[setting.kind](label, setting, shown, turn) };
  });

  return function draw(/** @type {SettingsState} */ state, status) {
    for (const { setting, place, show, input, back } of controls) {
      const value = state.values[place];
      if (back) back.disabled = state.over;
      input.disabled = state.over;
      show(value, (status.rates || {})[setting.name]);
    }
  };
}

/**
 * A drawer over the pictures, behind a button at the right of the strip.
 * @param {HTMLElement} parent
 * @param {HTMLElement} root
 * @returns {{box: HTMLElement}}
 */
function drawerView(parent, root) {
  const button = make("button", "naslab-button naslab-drawer-button", parent, "settings ▾");
  button.type = "button";
  const box = make("div", "naslab-drawer", root);
  /** @type {(shown: boolean) => void} */
  const open = (shown) => {
    box.style.display = shown ? "" : "none";
    button.setAttribute("aria-expanded", String(shown));
    if (shown) box.style.top = `${parent.offsetTop + parent.offsetHeight + 2}px`;
  };
  button.addEventListener("click", () => open(box.style.display === "none"));
  for (const part of /** @type {HTMLElement[]} */ ([button, box]))
    part.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || box.style.display === "none") return;
      event.preventDefault();
      event.stopPropagation();
      open(false);
      button.focus();
    });
  open(false);
  return { box };
}

/**
 * The button that gives a setting back to its schedule; outside the label, which would otherwise press it.
 * @param {HTMLElement} parent
 * @param {Setting} setting
 * @param {Send} send
 * @returns {HTMLButtonElement}
 */
function backButton(parent, setting, send) {
  const button = make("button", "naslab-unset", parent, "↺");
  button.type = "button";
  button.title = "Back to what it would be, had nobody changed it: to its schedule, where it has one";
  button.setAttribute("aria-label", "back to the schedule");
  button.addEventListener("click", () => send({ set: setting.name, back: true, group: setting.group }));
  return button;
}
