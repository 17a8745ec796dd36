// The axis that all views of trials share: the order of the evaluations.

/** @import { OrderScale, Pen } from "./types.js" */

// Margins of the axis, in pixels.
export const ORDER_LEFT = 52;

export const ORDER_RIGHT = 12;

/**
 * The axis at a width in pixels.
 * @param {{status: {step: number, since?: number}}} state
 * @param {number} width
 * @returns {OrderScale}
 */
export function orderScale(state, width) {
  const before = (state.status.since ?? 1) - 1; // steps before the first trial
  const last = Math.max(state.status.step, before + 2);
  const each = (width - ORDER_LEFT - ORDER_RIGHT) / (last - before);
  return {
    first: before + 1,
    last,
    right: width,
    across: (step) => ORDER_LEFT + each * (step - before - 0.5),
    at: (x) => before + 0.5 + (x - ORDER_LEFT) / each,
  };
}

/**
 * Round steps along the axis.
 * @param {Pen} pen
 * @param {OrderScale} scale
 * @param {number} y
 * @param {string} title
 */
export function drawOrder(pen, scale, y, title) {
  pen.textAlign = "center";
  const many = scale.last - scale.first + 1;
  const size = 10 ** Math.floor(Math.log10(many / 4));
  const step = Math.max(1, [1, 2, 5, 10].map((m) => m * size).find((tick) => many / tick <= 8) ?? 1);
  for (let tick = step * Math.ceil(scale.first / step); tick <= scale.last; tick += step) {
    const text = tick.toLocaleString("en");
    const x = Math.min(scale.across(tick), scale.right - pen.measureText(text).width / 2);
    if (!title || x > ORDER_LEFT + 20) pen.fillText(text, x, y);
  }
  if (title) {
    pen.textAlign = "left";
    pen.fillText(title, 2, y);
  }
  pen.textAlign = "left";
}
