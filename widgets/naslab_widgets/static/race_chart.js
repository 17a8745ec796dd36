// For each searcher the median over the seeds and the middle half of them, along the budget.

import { roundTicks, widened } from "./axis.js";
import { cursorLine, sharp } from "./canvas.js";
import { make } from "./elements.js";
import { digits, number } from "./numbers.js";
/** @import { Frame, Go, Pen, Point, RaceBands, RaceDescription, RaceStatus, Row, Theme, Tooltip } from "./types.js" */

/**
 * The vertical axis: the height of a value, from 0 at the bottom to 1 at the top, and the ticks.
 * @typedef {{place: (value: number) => number, ticks: [value: number, text: string][]}} Heights
 */

// Columns of a row of a band: the cost, and of the values of all seeds their mean, quartiles and number.
export const X = 0;
const MEAN = 1;
const MEDIAN = 4;
const LOWER = 5;
const UPPER = 6;
const SEEDS = 7;

/**
 * A band and its median for each searcher.
 * @param {HTMLElement} parent
 * @param {RaceDescription} description
 * @param {Tooltip} tooltip
 * @param {Go} go
 * @returns {(shown: RaceBands, theme: Theme) => void}
 */
export function raceView(parent, { searchers, cost }, tooltip, go) {
  const canvas = make("canvas", "naslab-race", parent);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "a band over the seeds for each searcher, along the budget");
  const height = 320;
  /** @type {{bands: Row[][], frame: Frame, across: (x: number) => number, first: number, last: number, theme: Theme, title: string} | null} */
  let drawn;

  // Regret and rank have a logarithmic axis, with a place for 0 below the smallest regret; the best rank is at the top.
  /** @type {(kind: RaceStatus["kind"], bands: Row[][], sign: number) => Heights | null} */
  function heights(kind, bands, sign) {
    const values = bands.flatMap((rows) => rows.flatMap((row) => [row[LOWER], row[UPPER], row[MEDIAN]])).filter(Number.isFinite);
    if (!values.length) return null;
    if (kind === "best") {
      const late = bands.flatMap((rows) => rows.slice(Math.floor(rows.length / 8)).flatMap((row) => [row[LOWER], row[UPPER]])).filter(Number.isFinite);
      const low = Math.min(...(sign < 0 ? values : late));
      const high = Math.max(...(sign < 0 ? late : values));
      const [bottom, top] = widened(low, high, 0.05);
      const ticks = roundTicks(bottom, top, 6).map((tick) => /** @type {[number, string]} */ ([tick, digits(tick, 6)]));
      return { place: (value) => (value - bottom) / (top - bottom), ticks };
    }
    const positive = values.filter((value) => value > 0);
    if (!positive.length) return { place: () => 0.5, ticks: [[0, "0"]] };
    const zero = kind === "regret" && values.some((value) => value <= 0);
    const least = Math.min(...positive);
    const low = Math.log10(least) - (zero ? 0.5 : 0.05);
    const high = Math.max(Math.log10(Math.max(...positive)) + 0.05, low + 0.3);
    /** @type {(value: number) => number} */
    const up = (value) => (Math.log10(value) - low) / (high - low);
    /** @type {(value: number) => string} */
    const label = (value) => (value < 1e7 && value >= 1e-4 ? value.toLocaleString("en", { maximumSignificantDigits: 2 }) : digits(value, 2));
    /** @type {Heights["ticks"]} */
    const ticks = [];
    const stride = 1 + Math.floor((high - low) / 10);
    for (let power = Math.floor(low) - 1; power <= high; power += stride)
      for (const base of high - low < 1.5 ? [1, 2, 5] : [1])
        if (up(base * 10 ** power) >= (zero ? 0.06 : 0) && up(base * 10 ** power) <= 1) ticks.push([base * 10 ** power, label(base * 10 ** power)]);
    if (zero) ticks.push([0, "0"]);
    /** @type {(value: number) => number} */
    const place = (value) => (value > 0 ? Math.max(0, up(value)) : 0);
    return kind === "rank" ? { place: (value) => 1 - place(value), ticks } : { place, ticks };
  }

  /** @type {(shown: RaceBands, theme: Theme) => void} */
  function draw({ bands, status, at }, theme) {
    const width = canvas.clientWidth || 900;
    const pen = sharp(canvas, width, height);
    const frame = { x: 62, y: 26, width: width - 78, height: height - 66 };
    canvas.dataset.step = String(status.step);
    pen.font = `11px ${theme.font}`;
    pen.fillStyle = theme.text;
    pen.globalAlpha = 0.05;
    pen.fillRect(frame.x, frame.y, frame.width, frame.height);
    pen.globalAlpha = 1;
    const scale = heights(status.kind, bands, status.sign);
    const ends = bands.filter((rows) => rows.length);
    drawn = null;
    if (!scale || !ends.length) {
      pen.textAlign = "center";
      const why = ends.length ? "no evaluation has succeeded so far" : "nothing has been evaluated yet: press Play";
      pen.fillText(why, frame.x + frame.width / 2, frame.y + frame.height / 2);
      pen.textAlign = "left";
      return;
    }
    const first = Math.min(...ends.map((rows) => rows[0][X]));
    const last = Math.max(...ends.map((rows) => rows[rows.length - 1][X]), first * 1.5);
    /** @type {(x: number) => number} */
    const across = (x) => frame.x + (frame.width * Math.log(x / first)) / Math.log(last / first);
    /** @type {(value: number) => number} */
    const down = (value) => frame.y + frame.height * (1 - scale.place(value));
    axes(pen, frame, scale, across, down, first, last, theme, status.title);
    pen.save();
    pen.beginPath();
    pen.rect(frame.x, frame.y - 2, frame.width, frame.height + 4);
    pen.clip();
    bands.forEach((rows, i) => {
      const known = rows.filter((row) => Number.isFinite(row[MEDIAN]));
      if (!known.length) return;
      pen.fillStyle = pen.strokeStyle = inkOn(searchers[i].colour, theme);
      pen.globalAlpha = theme.dark ? 0.26 : 0.17;
      pen.beginPath();
      known.forEach((row) => pen.lineTo(across(row[X]), down(row[LOWER])));
      [...known].reverse().forEach((row) => pen.lineTo(across(row[X]), down(row[UPPER])));
      pen.fill();
      pen.globalAlpha = 1;
      pen.lineWidth = 2.2;
      pen.beginPath();
      known.forEach((row) => pen.lineTo(across(row[X]), down(row[MEDIAN])));
      pen.stroke();
    });
    if (at !== null) {
      cursorLine(pen, across(at), frame.y, frame.y + frame.height, theme);
      drawValues(pen, frame, bands, at, across, down, theme);
    }
    pen.restore();
    drawn = { bands, frame, across, first, last, theme, title: status.title };
  }

  // The median of each searcher at the moment that is shown, beside its line.
  /** @type {(pen: Pen, frame: Frame, bands: Row[][], at: number, across: (x: number) => number, down: (value: number) => number, theme: Theme) => void} */
  function drawValues(pen, frame, bands, at, across, down, theme) {
    const right = across(at) > frame.x + 0.8 * frame.width;
    pen.textAlign = right ? "right" : "left";
    pen.font = `600 11px ${theme.font}`;
    const found = bands.flatMap((rows, i) => (rows.length ? [{ i, row: nearestIn(rows, at) }] : [])).filter(({ row }) => Number.isFinite(row[MEDIAN]));
    let lowest = -Infinity;
    for (const { i, row } of found.sort((a, b) => down(a.row[MEDIAN]) - down(b.row[MEDIAN]))) {
      const y = down(row[MEDIAN]);
      pen.fillStyle = inkOn(searchers[i].colour, theme);
      pen.beginPath();
      pen.arc(across(at), y, 4, 0, 2 * Math.PI);
      pen.fill();
      lowest = Math.max(lowest + 13, y + 4);
      pen.lineWidth = 3;
      pen.strokeStyle = theme.ground;
      pen.strokeText(number(row[MEDIAN]), across(at) + (right ? -8 : 8), lowest);
      pen.fillText(number(row[MEDIAN]), across(at) + (right ? -8 : 8), lowest);
    }
    pen.textAlign = "left";
  }

  /** @type {(pen: Pen, frame: Frame, scale: Heights, across: (x: number) => number, down: (value: number) => number, first: number, last: number, theme: Theme, title: string) => void} */
  function axes(pen, frame, scale, across, down, first, last, theme, title) {
    pen.strokeStyle = pen.fillStyle = theme.text;
    pen.lineWidth = 1;
    pen.textAlign = "right";
    for (const [value, label] of scale.ticks) {
      const y = Math.round(down(value)) + 0.5;
      pen.globalAlpha = 0.14;
      pen.beginPath();
      pen.moveTo(frame.x, y);
      pen.lineTo(frame.x + frame.width, y);
      pen.stroke();
      pen.globalAlpha = 0.75;
      pen.fillText(label, frame.x - 6, y + 4);
    }
    pen.textAlign = "center";
    for (let power = Math.floor(Math.log10(first)); power <= Math.log10(last); power++)
      for (const base of Math.log10(last / first) > 6 ? [1] : [1, 3]) {
        const tick = base * 10 ** power;
        const label = tick < 1e7 && tick >= 1e-4 ? tick.toLocaleString("en") : digits(tick, 2);
        if (tick >= first * 0.999 && tick <= last * 1.001) pen.fillText(label, across(tick), frame.y + frame.height + 16);
      }
    pen.fillText(cost, frame.x + frame.width / 2, frame.y + frame.height + 34);
    pen.textAlign = "left";
    pen.globalAlpha = 0.9;
    pen.fillText(title, frame.x, 15);
    let right = frame.x + frame.width;
    pen.textAlign = "right";
    for (let i = searchers.length - 1; i >= 0; i--) {
      const name = searchers[i].name.length > 28 ? `${searchers[i].name.slice(0, 27)}…` : searchers[i].name;
      pen.globalAlpha = 0.9;
      pen.fillStyle = theme.text;
      pen.fillText(name, right, 15);
      right -= pen.measureText(name).width + 6;
      pen.globalAlpha = 1;
      pen.fillStyle = inkOn(searchers[i].colour, theme);
      pen.fillRect(right - 14, 9, 14, 4);
      right -= 28;
    }
    pen.textAlign = "left";
  }

  // The cost under the pointer, or null.
  /** @type {(event: Point) => number | null} */
  function spentAt({ offsetX }) {
    if (!drawn) return null;
    const { frame, first, last } = drawn;
    return offsetX < frame.x || offsetX > frame.x + frame.width ? null : first * (last / first) ** ((offsetX - frame.x) / frame.width);
  }

  canvas.addEventListener("click", (event) => {
    const spent = spentAt(event);
    if (spent !== null) go(spent);
  });
  canvas.addEventListener("mousemove", (event) => {
    if (!drawn) return;
    const { bands, theme, title } = drawn;
    const x = spentAt(event);
    if (x === null) return tooltip.hide();
    const lines = bands.flatMap((rows, i) => {
      if (!rows.length) return [];
      const row = nearestIn(rows, x);
      return {
        text: `${searchers[i].name}: median ${number(row[MEDIAN])} (${number(row[LOWER])} to ${number(row[UPPER])}), mean ${number(row[MEAN])}, ${row[SEEDS]} seeds`,
        colour: inkOn(searchers[i].colour, theme),
      };
    });
    tooltip.show(event, [{ text: `${title}, ${Math.round(x).toLocaleString("en")} ${cost}`, strong: true }, ...lines]);
  });
  canvas.addEventListener("mouseleave", tooltip.hide);
  return draw;
}

/**
 * The row whose cost is nearest on the logarithmic axis.
 * @param {Row[]} rows
 * @param {number} x
 * @returns {Row}
 */
const nearestIn = (rows, x) => rows.reduce((best, other) => (Math.abs(Math.log(other[X] / x)) < Math.abs(Math.log(best[X] / x)) ? other : best));

/**
 * A colour chosen for white paper, lightened on a dark ground.
 * @param {string} colour
 * @param {Theme} theme
 * @returns {string}
 */
export const inkOn = (colour, theme) => (theme.dark ? `color-mix(in srgb, ${colour} 78%, white)` : colour);
