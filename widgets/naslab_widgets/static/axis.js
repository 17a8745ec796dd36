// The marks of an upright axis: round numbers inside its range, a thin line at each, and the number left of it.

import { endText, powersOfTen, roundTicks } from "./shared.js";

// Round numbers between the ends, two at least; where there are none between them, the ends.
/**
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

// What stands beside each of the marks: with as many places as tell them apart, and "-0" never.
export function tickTexts(ticks) {
  const [low, high] = [ticks[0], ticks[ticks.length - 1]];
  const size = Math.max(Math.abs(low), Math.abs(high));
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : size;
  if (size >= 1e5 || (size < 1e-3 && size > 0)) return ticks.map((tick) => endText(tick, low, high));
  const places = Math.min(6, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
  const exact = ticks.every((tick) => Math.abs(tick - Number(tick.toFixed(places))) <= 0.01 * step);
  return ticks.map((tick) => (Math.abs(tick) < 1e-9 * step ? "0" : exact ? tick.toFixed(places) : endText(tick, low, high)));
}

// frame: {x, y, width, height} in pixels; axis: {low, high, place, powers}, where `place` gives 0 at the bottom to 1.
export function drawTicks(pen, { x, y, width, height }, axis) {
  const ticks = ticksOf(axis, height > 100 ? 5 : 3);
  const texts = tickTexts(ticks);
  const before = [pen.globalAlpha, pen.textAlign];
  pen.textAlign = "right";
  ticks.forEach((tick, i) => {
    const down = y + height * (1 - axis.place(tick));
    pen.globalAlpha = 0.09;
    pen.fillRect(x, Math.round(down), width, 1);
    pen.globalAlpha = 0.62;
    pen.fillText(texts[i], x - 4, Math.min(y + height, Math.max(y + 8, down + 3)));
  });
  [pen.globalAlpha, pen.textAlign] = before;
}
