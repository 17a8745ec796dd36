// The learning curve of a candidate.

import { roundTicks, widened } from "./axis.js";
import { shape } from "./elements.js";
import { digits, number, scaleOf, fitnessText } from "./numbers.js";
/** @import { CandidateFacts, Objective } from "./types.js" */

const SIZE = { width: 300, height: 92, left: 40, right: 8, top: 6, bottom: 18 };

/**
 * The layout of a learning curve: its points, where each training ended, and the ticks of both axes; null if there are too few
 * points.
 * @param {[epochs: number, fitness: number][]} curve
 * @param {(number | null)[]} ends
 * @param {typeof SIZE} [size]
 * @returns {{points: {x: number, y: number, epochs: number, fitness: number}[], ends: number[], epochs: {x: number, text: string}[], fitness: {y: number, value: number}[]} | null}
 */
export function curvePlaces(curve, ends, { width, height, left, right, top, bottom } = SIZE) {
  const known = curve.filter(([epochs, fitness]) => Number.isFinite(epochs) && Number.isFinite(fitness));
  if (known.length < 2) return null;
  const values = known.map(([, fitness]) => fitness);
  const [low, high] = widened(Math.min(...values), Math.max(...values), 0.06);
  const last = known[known.length - 1][0];
  const first = Math.min(known[0][0], 0);
  /** @type {(epochs: number) => number} */
  const across = (epochs) => left + ((width - left - right) * (epochs - first)) / (last - first || 1);
  /** @type {(fitness: number) => number} */
  const down = (fitness) => height - bottom - ((height - top - bottom) * (fitness - low)) / (high - low);
  return {
    points: known.map(([epochs, fitness]) => ({ x: across(epochs), y: down(fitness), epochs, fitness })),
    ends: ends.filter((epochs) => epochs !== null).filter((epochs) => Number.isFinite(epochs) && epochs <= last).map(across),
    epochs: roundTicks(first, last, 5).map((tick) => ({ x: across(tick), text: number(tick) })),
    fitness: roundTicks(low, high, 3).map((tick) => ({ y: down(tick), value: tick })),
  };
}

/**
 * @param {HTMLElement} box
 * @param {Pick<CandidateFacts, "curve" | "ends">} facts
 * @param {Objective | undefined} objective
 */
export function drawCurve(box, facts, objective) {
  box.replaceChildren();
  const found = curvePlaces(facts.curve, facts.ends);
  box.style.display = found ? "" : "none";
  if (!found) return;
  const { width, height, left, right, bottom, top } = SIZE;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" }, box);
  const [last] = facts.curve.slice(-1);
  svg.setAttribute("aria-label", `training curve: ${objective?.name || "fitness"} ${fitnessText(last[1], objective, 5)} after ${number(last[0])} epochs`);
  /** @type {(x: number, y: number, content: string, anchor: string) => string} */
  const text = (x, y, content, anchor) => (shape("text", { x, y, "text-anchor": anchor, class: "naslab-training-text" }, svg).textContent = content);
  for (const { y, value } of found.fitness) {
    shape("line", { x1: left, x2: width - right, y1: y, y2: y, class: "naslab-training-grid" }, svg);
    text(left - 5, y + 3, digits((objective?.sign ?? 1) * scaleOf(objective?.unit) * value, 4), "end");
  }
  for (const { x, text: tick } of found.epochs) if (x < width - 52) text(x, height - 5, tick, "middle");
  text(width - right, height - 5, `${digits(last[0], 4)} epochs`, "end");
  for (const x of found.ends) shape("line", { x1: x, x2: x, y1: top, y2: height - bottom, class: "naslab-training-end" }, svg);
  shape("polyline", { points: found.points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "), class: "naslab-training-line" }, svg);
  if (found.points.length > 40) return;
  for (const { x, y, epochs, fitness } of found.points) {
    const dot = shape("circle", { cx: x, cy: y, r: 2.4, class: "naslab-training-dot" }, svg);
    shape("title", {}, dot).textContent = `${number(epochs)} epochs: ${fitnessText(fitness, objective, 6)}`;
  }
}
