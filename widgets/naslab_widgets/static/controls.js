// The controls of settings: slider, checkbox, dropdown, count.

import { make } from "./elements.js";
import { digits } from "./numbers.js";
/** @import { Control, Setting } from "./types.js" */

const NOTCHES = 200; // of a slider
const UNANSWERED = 3000; // milliseconds for which a slider waits for the answer to what it requested

/**
 * The place that a slider has requested last. It stands against older answers, so that the next key goes on from there,
 * until Python sends it, or until nothing has come for `patience` milliseconds: `expired` is called then.
 * @param {() => void} expired
 * @param {number} [patience]
 * @returns {{set: (place: number) => void, admits: (place: number) => boolean}}
 */
export function requested(expired, patience = UNANSWERED) {
  /** @type {number | null} */
  let wanted = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return {
    set(place) {
      wanted = place;
      clearTimeout(timer);
      timer = setTimeout(() => {
        wanted = null;
        expired();
      }, patience);
    },
    admits(place) {
      if (wanted !== null && place !== wanted) return false;
      clearTimeout(timer);
      wanted = null;
      return true;
    },
  };
}

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
  let latest = () => {}; // shows what Python sent last
  const request = requested(() => latest());
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
    const value = valueAt(setting, Number(input.value));
    request.set(placeOf(setting, value));
    turn(value);
  });
  /** @type {Control["show"]} */
  function show(value, now) {
    latest = () => show(value, now);
    const place = placeOf(setting, value);
    if (held || !request.admits(place)) return;
    input.value = String(place);
    tell(inForce(value, now));
  }
  return { input, show };
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
