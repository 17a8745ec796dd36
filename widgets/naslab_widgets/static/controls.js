// The controls of settings: slider, checkbox, dropdown, count.

import { make } from "./elements.js";
import { digits } from "./numbers.js";
/** @import { Control, Setting } from "./types.js" */

const NOTCHES = 200; // of a slider

/**
 * The place of a value on the slider, 0 to NOTCHES.
 * @param {Pick<Setting, "low" | "high" | "log">} setting
 * @param {number} value
 * @returns {number}
 */
export function placeOf(setting, value) {
  const { low, high, log } = setting;
  const share = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  return Math.round(NOTCHES * Math.min(1, Math.max(0, share)));
}

/**
 * The value at a place of the slider.
 * @param {Pick<Setting, "low" | "high" | "log">} setting
 * @param {number} place
 * @returns {number}
 */
export function valueAt(setting, place) {
  const { low, high, log } = setting;
  if (place >= NOTCHES) return high;
  if (place <= 0) return low;
  const share = place / NOTCHES;
  return Number((log ? low * (high / low) ** share : low + (high - low) * share).toPrecision(3));
}

/**
 * The value as text and, if a schedule makes another one effective, that as well: "0.025, now 0.0213".
 * @param {number} value
 * @param {number | string | undefined} now
 * @returns {string}
 */
export function inForce(value, now) {
  const same = typeof now !== "number" || Math.abs(now - value) <= 1e-3 * Math.abs(value);
  return same ? digits(value, 3) : `${digits(value, 3)}, now ${digits(now, 3)}`;
}

/**
 * @param {HTMLElement} label
 * @param {Setting} setting
 * @param {HTMLElement} shown Shows the value in words.
 * @param {(value: unknown) => void} turn
 * @returns {Control}
 */
function slider(label, setting, shown, turn) {
  const input = make("input", "", label);
  Object.assign(input, { type: "range", min: 0, max: NOTCHES, step: 1 });
  input.setAttribute("aria-label", setting.name);
  let held = false; // while it is dragged, the search does not move it
  /** @type {number | null} */
  let moved = null; // the place that was requested last, until Python answers
  /** @type {(text: string) => void} */
  const tell = (text) => {
    shown.textContent = text;
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
        moved = null; // ignores one stale answer
        return;
      }
      moved = null;
      input.value = String(place);
      tell(inForce(value, now));
    },
  };
}

/**
 * @param {HTMLElement} label
 * @param {Setting} _
 * @param {HTMLElement} shown
 * @param {(value: unknown) => void} turn
 * @returns {Control}
 */
function checkbox(label, _, shown, turn) {
  const input = make("input", "", label);
  input.type = "checkbox";
  input.addEventListener("change", () => turn(input.checked));
  return {
    input,
    show(value) {
      input.checked = value;
      shown.textContent = value ? "on" : "off";
    },
  };
}

/**
 * @param {HTMLElement} label
 * @param {Setting} setting
 * @param {HTMLElement} _
 * @param {(value: unknown) => void} turn
 * @returns {Control}
 */
function dropdown(label, setting, _, turn) {
  const input = make("select", "", label);
  setting.options.forEach((option, place) => (make("option", "", input, String(option)).value = String(place)));
  input.addEventListener("change", () => turn(setting.options[Number(input.value)]));
  return {
    input,
    show(value) {
      input.value = String(setting.options.findIndex((option) => option === value));
    },
  };
}

/**
 * @param {HTMLElement} label
 * @param {Setting} setting
 * @param {HTMLElement} shown
 * @param {(value: unknown) => void} turn
 * @returns {Control}
 */
function count(label, setting, shown, turn) {
  const input = make("input", "", label);
  Object.assign(input, { type: "number", step: 1, min: setting.low });
  if (setting.high !== null) input.max = String(setting.high);
  /** @type {number | null} */
  let last = null;
  input.addEventListener("change", () => {
    const value = Number(input.value);
    if (Number.isInteger(value) && input.value !== "") turn(value);
    else input.value = String(last);
  });
  return {
    input,
    show(value, now) {
      if (value !== last || document.activeElement !== input) input.value = String((last = value));
      shown.textContent = typeof now === "number" && now !== value ? `now ${now}` : "";
    },
  };
}

export const MAKE = { slider, checkbox, dropdown, count };
