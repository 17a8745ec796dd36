// What turns the settings of a search, each kind by its own control: its full name above it, its value, and the value
// that is in force now where a schedule makes it another.

import { digits, make } from "./shared.js";

const NOTCHES = 200; // of a slider
const MOST = 4; // settings that stand in the strip itself; more of them are in a drawer

// From a value to its place on the slider, 0 to NOTCHES, and back.
export function placeOf(setting, value) {
  const { low, high, log } = setting;
  const share = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return Math.round(NOTCHES * Math.min(1, Math.max(0, share)));
}

export function valueAt(setting, place) {
  const { low, high, log } = setting;
  if (place >= NOTCHES) return high;
  if (place <= 0) return low;
  const share = place / NOTCHES;
  return Number((log ? low * (high / low) ** share : low + (high - low) * share).toPrecision(3));
}

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
    const told = make("span", "naslab-setting-value", head);
    const back = folded && about.back?.[place] ? backButton(hold, setting, send) : null;
    const turn = (value) => send({ set: setting.name, value, group: setting.group });
    return { setting, told, place, back, ...MAKE[setting.kind](label, setting, told, turn) };
  });

  return function draw(state, status) {
    for (const { setting, place, show, input, back } of controls) {
      const value = state.values[place];
      if (back) back.disabled = state.over;
      input.disabled = state.over;
      show(value, (status.rates || {})[setting.name]);
    }
  };
}

// Behind a button at the right of the strip, over the pictures.
function drawerView(parent, root) {
  const button = make("button", "naslab-button naslab-drawer-button", parent, "settings ▾");
  button.type = "button";
  const box = make("div", "naslab-drawer", root);
  const open = (shown) => {
    box.style.display = shown ? "" : "none";
    button.setAttribute("aria-expanded", shown);
    if (shown) box.style.top = `${parent.offsetTop + parent.offsetHeight + 2}px`;
  };
  button.addEventListener("click", () => open(box.style.display === "none"));
  for (const part of [button, box])
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

// Beside the label, which would otherwise press it.
function backButton(parent, setting, send) {
  const button = make("button", "naslab-unset", parent, "↺");
  button.type = "button";
  button.title = "Back to what it would be, had nobody changed it: to its schedule, where it has one";
  button.setAttribute("aria-label", "back to the schedule");
  button.addEventListener("click", () => send({ set: setting.name, back: true, group: setting.group }));
  return button;
}

// "0.025", and where something else is in force, "0.025, now 0.0213".
export function inForce(value, now) {
  const same = typeof now !== "number" || Math.abs(now - value) <= 1e-3 * Math.abs(value);
  return same ? digits(value, 3) : `${digits(value, 3)}, now ${digits(now, 3)}`;
}

function slider(label, setting, told, turn) {
  const input = make("input", "", label);
  Object.assign(input, { type: "range", min: 0, max: NOTCHES, step: 1 });
  input.setAttribute("aria-label", setting.name);
  let held = false; // by a hand: the search does not move it then
  let moved = null; // the place that was asked for last, until Python has heard
  const tell = (text) => {
    told.textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  input.addEventListener("pointerdown", () => (held = true));
  input.addEventListener("pointerup", () => (held = false));
  input.addEventListener("pointercancel", () => (held = false));
  input.addEventListener("input", () => tell(digits(valueAt(setting, Number(input.value)), 3)));
  input.addEventListener("change", () => {
    held = false;
    moved = Number(input.value);
    turn(valueAt(setting, moved));
  });
  return {
    input,
    show(value, now) {
      const place = placeOf(setting, value);
      if (held) return;
      if (moved !== null && place !== moved) {
        moved = null; // one answer later the search decides
        return;
      }
      moved = null;
      input.value = place;
      tell(inForce(value, now));
    },
  };
}

function checkbox(label, _, told, turn) {
  const input = make("input", "", label);
  input.type = "checkbox";
  input.addEventListener("change", () => turn(input.checked));
  return {
    input,
    show(value) {
      input.checked = value;
      told.textContent = value ? "on" : "off";
    },
  };
}

function dropdown(label, setting, _, turn) {
  const input = make("select", "", label);
  setting.options.forEach((option, place) => (make("option", "", input, String(option)).value = place));
  input.addEventListener("change", () => turn(setting.options[Number(input.value)]));
  return {
    input,
    show(value) {
      input.value = setting.options.findIndex((option) => option === value);
    },
  };
}

function count(label, setting, told, turn) {
  const input = make("input", "", label);
  Object.assign(input, { type: "number", step: 1, min: setting.low });
  if (setting.high !== null) input.max = setting.high;
  let shown = null;
  input.addEventListener("change", () => {
    const value = Number(input.value);
    if (Number.isInteger(value) && input.value !== "") turn(value);
    else input.value = shown;
  });
  return {
    input,
    show(value, now) {
      if (value !== shown || document.activeElement !== input) input.value = shown = value;
      told.textContent = typeof now === "number" && now !== value ? `now ${now}` : "";
    },
  };
}

const MAKE = { slider, checkbox, dropdown, count };
