// A small plot of lines over the steps.

import { endText } from "./axis.js";
import { make, shape } from "./elements.js";
import { nearestRow } from "./rows.js";
/** @import { Go, Theme } from "./types.js" */

const WIDTH = 300; // units of the plot's view box
const HEIGHT = 84;

/**
 * The points of a polyline for each list of values over the steps; unknown values are left out.
 * @param {number[]} steps
 * @param {(number | null)[][]} lists
 * @param {[low: number, high: number]} range
 * @param {number} [width]
 * @param {number} [height]
 * @returns {string[]}
 */
export function linesOf(steps, lists, [low, high], width = WIDTH, height = HEIGHT) {
  const span = steps[steps.length - 1] - steps[0] || 1;
  /** @type {(step: number) => number} */
  const across = (step) => (width * (step - steps[0])) / span;
  /** @type {(value: number) => number} */
  const down = (value) => height * (1 - (value - low) / (high - low));
  return lists.map((list) => list.flatMap((value, i) => (value !== null && Number.isFinite(value) ? [`${across(steps[i]).toFixed(1)},${down(value).toFixed(1)}`] : [])).join(" "));
}

/**
 * A plot of lines with the ends of both axes; null hides it, and a click goes to the step.
 * @param {HTMLElement} parent
 * @param {string} text
 * @param {Go} go
 * @returns {(shown: {steps: number[], step: number, theme: Theme, colours: string[], lists: (number | null)[][], range: [number, number], mark?: number} | null) => void}
 */
export function stepPlot(parent, text, go) {
  const box = make("div", "naslab-plot", parent);
  if (text) make("div", "naslab-plot-title", box, text);
  const frame = make("div", "naslab-plot-frame", box);
  const svg = shape("svg", { viewBox: `0 -2 ${WIDTH} ${HEIGHT + 4}`, preserveAspectRatio: "none", role: "img", "aria-label": text || "entropy of the decision" }, frame);
  const scale = make("div", "naslab-plot-scale", frame);
  const [top, bottom] = [make("span", "", scale), make("span", "", scale)];
  const ends = make("div", "naslab-plot-ends", box);
  const [first, last] = [make("span", "", ends), make("span", "", ends)];
  /** @type {number[]} */
  let steps = [];
  svg.addEventListener("click", (event) => {
    const { left, width } = svg.getBoundingClientRect();
    const at = steps[0] + ((event.clientX - left) / width) * (steps[steps.length - 1] - steps[0]);
    if (steps.length) go(nearestRow(steps.map((step) => [step]), at)[0]);
  });

  return function draw(plot) {
    box.style.display = plot ? "" : "none";
    if (!plot) return;
    const { lists, range, mark, step, theme, colours } = plot;
    steps = plot.steps;
    svg.replaceChildren();
    /** @type {(points: string, attributes: Record<string, string | number>) => SVGElement} */
    const line = (points, attributes) => shape("polyline", { points, fill: "none", "vector-effect": "non-scaling-stroke", ...attributes }, svg);
    const [from, to] = [steps[0], steps[steps.length - 1]];
    if (mark !== undefined) line(linesOf([0, 1], [[mark, mark]], range)[0], { stroke: theme.text, "stroke-width": 1, "stroke-dasharray": "4 3", opacity: 0.6 });
    linesOf(steps, lists, range).forEach((points, i) => line(points, { stroke: colours[i], "stroke-width": 1.6, class: "naslab-plot-line" }));
    const x = ((step - from) / (to - from || 1)) * WIDTH;
    if (step !== to) line(`${x},-2 ${x},${HEIGHT + 2}`, { stroke: theme.text, "stroke-width": 1 });
    [top.textContent, bottom.textContent] = [endText(range[1], ...range), endText(range[0], ...range)];
    [first.textContent, last.textContent] = [from.toLocaleString("en"), to.toLocaleString("en")];
  };
}
