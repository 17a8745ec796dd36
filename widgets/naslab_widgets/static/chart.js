// A chart with a frame, a grid and a title, and what is drawn in it.

import { fitted, sharp } from "./canvas.js";
import { make } from "./elements.js";
import { digits } from "./numbers.js";
/** @import { Pen, Theme } from "./types.js" */

export const CHART_HEIGHT = 214;

/**
 * Draws the title (of two texts, the second is never cut), the grid and the ends of the horizontal axis; returns the maps
 * from data to pixels.
 * @param {HTMLCanvasElement} canvas
 * @param {Theme} theme
 * @param {{title: string | string[], across: [number, number], up: [number, number], marks: number[], label: string}} chart
 * @returns {{pen: Pen, x: (value: number) => number, y: (value: number) => number, left: number, right: number, top: number, bottom: number}}
 */
export function axes(canvas, theme, { title, across, up, marks, label }) {
  const width = canvas.clientWidth || 300;
  const pen = sharp(canvas, width, CHART_HEIGHT);
  const left = 38;
  const right = width - 10;
  const top = 28;
  const bottom = CHART_HEIGHT - 38;
  /** @type {(value: number) => number} */
  const x = (value) => left + ((right - left) * (value - across[0])) / (across[1] - across[0] || 1);
  /** @type {(value: number) => number} */
  const y = (value) => top + ((bottom - top) * (up[1] - value)) / (up[1] - up[0] || 1);
  pen.fillStyle = pen.strokeStyle = theme.text;
  pen.font = `600 11px ${theme.font}`;
  const [head, tail = ""] = typeof title === "string" ? [title] : title;
  pen.fillText(fitted(pen, head, right - left - pen.measureText(tail).width) + tail, left, 14);
  pen.font = `10px ${theme.font}`;
  pen.lineWidth = 1;
  for (const value of marks) {
    pen.globalAlpha = 0.14;
    pen.fillRect(left, y(value) - 0.5, right - left, 1);
    pen.globalAlpha = 0.65;
    pen.textAlign = "right";
    pen.fillText(digits(value, 4), left - 5, y(value) + 3.5);
  }
  pen.globalAlpha = 0.65;
  pen.textAlign = "left";
  pen.fillText(across[0].toLocaleString("en"), left, bottom + 13);
  pen.textAlign = "right";
  pen.fillText(across[1].toLocaleString("en"), right, bottom + 13);
  pen.textAlign = "center";
  pen.fillText(label, (left + right) / 2, bottom + 13);
  pen.textAlign = "left";
  pen.globalAlpha = 1;
  return { pen, x, y, left, right, top, bottom };
}

/**
 * A line through the points, with gaps where a value is not known.
 * @param {Pen} pen
 * @param {[x: number, y: number][]} points
 */
export function trace(pen, points) {
  pen.beginPath();
  let open = false;
  for (const [a, b] of points) {
    if (Number.isFinite(b)) open ? pen.lineTo(a, b) : pen.moveTo(a, b);
    open = Number.isFinite(b);
  }
  pen.stroke();
}

/**
 * @param {Pen} pen
 * @param {number} x
 * @param {number} y
 * @param {number} size
 */
export function diamond(pen, x, y, size) {
  pen.beginPath();
  pen.moveTo(x, y - size);
  pen.lineTo(x + size, y);
  pen.lineTo(x, y + size);
  pen.lineTo(x - size, y);
  pen.closePath();
  pen.fill();
  pen.globalAlpha = 1;
  pen.stroke();
}

/**
 * @param {HTMLElement} parent
 * @param {string} name
 * @param {string} label
 * @returns {HTMLCanvasElement}
 */
export function chartCanvas(parent, name, label) {
  const canvas = make("canvas", `naslab-ranking-${name}`, make("div", "", parent));
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  return canvas;
}
