// Axes: their ends, round ticks between them, and the ticks of an upright axis drawn on a canvas.

/** @import { Axis, Frame, Pen } from "./types.js" */

// Positive values that span more powers of ten than this get a logarithmic axis.
export const DECADES = 4;

/**
 * The label of an end of an axis from `low` to `high`, with as many digits as the range needs.
 * @param {number} value
 * @param {number} low
 * @param {number} high
 * @returns {string}
 */
export function endText(value, low, high) {
  const size = Math.max(Math.abs(low), Math.abs(high));
  if (size >= 1e5 || size < 1e-3) return value.toExponential(1);
  if (Number.isInteger(low) && Number.isInteger(high)) return value.toFixed(0);
  const span = high - low;
  return value.toFixed(span >= 20 ? 0 : span >= 2 ? 1 : span >= 0.05 ? 2 : 3);
}

/**
 * The ends of an axis: `low` and `high`, widened by a share of their range; never equal.
 * @param {number} low
 * @param {number} high
 * @param {number} share
 * @returns {[number, number]}
 */
export function widened(low, high, share) {
  const size = Math.max(Math.abs(low), Math.abs(high));
  const slack = high - low <= 1e-12 * size ? 0.01 * size || 1e-3 : share * (high - low); // below float precision the range is noise
  return [low - slack, high + slack];
}

/**
 * At most `most` round numbers from `low` to `high`; the ends themselves if there are none.
 * @param {number} low
 * @param {number} high
 * @param {number} most
 * @returns {number[]}
 */
export function roundTicks(low, high, most) {
  const size = 10 ** Math.floor(Math.log10((high - low) / most));
  const step = [1, 2, 5, 10].map((m) => m * size).find((each) => each > 0 && (high - low) / each <= most);
  if (!step) return [low, high];
  const first = Math.ceil(low / step);
  const count = Math.min(Math.floor(high / step) - first + 1, most + 2);
  return Array.from({ length: Math.max(0, count) }, (_, i) => (first + i) * step);
}

/**
 * About four round numbers whose first and last enclose the range.
 * @param {number} least
 * @param {number} most
 * @returns {number[]}
 */
export function roundMarks(least, most) {
  const [low, high] = widened(least, most, 0);
  const rough = (high - low) / 4;
  const scale = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * scale).find((m) => m >= rough * (1 - 1e-9)) ?? 0;
  if (!(step > 0)) return [low, high];
  const first = Math.floor(low / step);
  const last = Math.max(Math.ceil(high / step), first + 1);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/**
 * At most `most` powers of ten from `low` to `high`, both positive.
 * @param {number} low
 * @param {number} high
 * @param {number} [most]
 * @returns {number[]}
 */
export function powersOfTen(low, high, most = 8) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const stride = 1 + Math.floor(Math.max(0, last - first) / most);
  return Array.from({ length: Math.max(0, Math.floor((last - first) / stride) + 1) }, (_, i) => 10 ** (first + stride * i));
}

/**
 * At least two round numbers between the ends; the ends themselves if there are none.
 * @param {{low: number, high: number, powers?: boolean}} axis `powers`: only powers of ten, as on a logarithmic axis.
 * @param {number} most How many there are at most.
 * @returns {number[]}
 */
export function ticksOf({ low, high, powers = false }, most = 3) {
  const slack = 1e-9 * (high - low);
  for (let count = most; count <= most + 2; count += 1) {
    const found = powers ? powersOfTen(low, high, count) : roundTicks(low, high, count);
    const inside = found.filter((tick) => tick >= low - slack && tick <= high + slack);
    if (inside.length > 1) return inside;
  }
  return [low, high];
}

/**
 * The labels of ticks, with as many decimals as distinguish them; never "-0".
 * @param {number[]} ticks
 * @returns {string[]}
 */
export function tickTexts(ticks) {
  const [low, high] = [ticks[0], ticks[ticks.length - 1]];
  const size = Math.max(Math.abs(low), Math.abs(high));
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : size;
  if (size >= 1e5 || (size < 1e-3 && size > 0)) return ticks.map((tick) => endText(tick, low, high));
  const places = Math.min(6, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
  const exact = ticks.every((tick) => Math.abs(tick - Number(tick.toFixed(places))) <= 0.01 * step);
  return ticks.map((tick) => (Math.abs(tick) < 1e-9 * step ? "0" : exact ? tick.toFixed(places) : endText(tick, low, high)));
}

/**
 * Draws a thin line at each tick of an upright axis, and its label left of it.
 * @param {Pen} pen
 * @param {Frame} frame
 * @param {Axis} axis
 */
export function drawTicks(pen, { x, y, width, height }, axis) {
  const ticks = ticksOf(axis, height > 100 ? 5 : 3);
  const texts = tickTexts(ticks);
  const { globalAlpha, textAlign } = pen;
  pen.textAlign = "right";
  ticks.forEach((tick, i) => {
    const down = y + height * (1 - axis.place(tick));
    pen.globalAlpha = 0.09;
    pen.fillRect(x, Math.round(down), width, 1);
    pen.globalAlpha = 0.62;
    pen.fillText(texts[i], x - 4, Math.min(y + height, Math.max(y + 8, down + 3)));
  });
  Object.assign(pen, { globalAlpha, textAlign });
}
