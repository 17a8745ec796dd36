// The metrics of several searches, one small chart each; every search has its own colour and dash.

import { drawTicks } from "./axis.js";
import { cursorLine, hue, sharp } from "./canvas.js";
import { make } from "./elements.js";
import { number, scaleOf, withUnit } from "./numbers.js";
import { nearestRow } from "./rows.js";
import { axisOf, bestAt, noisy, smoothed } from "./series.js";
/** @import { AxisName, CompareChart, CompareState, Frame, Go, Pen, Point, Theme, Tooltip, Track } from "./types.js" */

/** @typedef {{columns: number, cell: number, line: number}} Place */
/** @typedef {CompareChart & {lines: number[][][]}} Drawable With points [x, value, smoothed value] for each track. */

/**
 * A place on the common axis, in words.
 * @param {number} value
 * @param {AxisName} axis
 * @returns {string}
 */
export const onAxis = (value, axis) => (axis === "share" ? `${number(value)} %` : `${number(value)} ${axis}`);

/**
 * A chart for each metric, with a line for each search.
 * @param {HTMLElement} parent
 * @param {{tracks: Track[], charts: CompareChart[], rankings: string[]}} description
 * @param {Tooltip} tooltip
 * @param {Go} go
 * @returns {(state: CompareState, theme: Theme) => void}
 */
export function overlayView(parent, { tracks, charts, rankings }, tooltip, go) {
  const canvas = make("canvas", "naslab-overlay", parent);
  canvas.setAttribute("role", "img");
  const note = make("div", "naslab-lacks", parent);
  /** @type {{shown: Drawable[], place: Place, state: CompareState, theme: Theme}} */
  let drawn;

  // The charts that have points in any track.
  /** @type {(state: CompareState) => Drawable[]} */
  function found(state) {
    const at = ["steps", "epochs", "seconds", "share"].indexOf(state.axis);
    /** @type {(chart: CompareChart, i: number) => number[][]} */
    const pointsOf = (chart, i) => {
      const column = chart.columns[i];
      const track = tracks[i];
      if (column === null) return [];
      const sparse = state.status.tracks[i]?.measured?.[column];
      if (sparse) return sparse.map((point) => [point[at] ?? NaN, point[4] ?? NaN]);
      return state.tracks[i].rows.map((row) => [row[track.columns[state.axis]], row[track.columns[column]]]);
    };
    const drawable = charts.map((chart) => {
      const scale = scaleOf(chart.unit);
      const lines = tracks.map((_, i) => {
        const points = pointsOf(chart, i).filter((point) => point.every(Number.isFinite));
        const values = points.map(([, value]) => scale * value);
        const mean = noisy(values, chart.unit) ? smoothed(values) : values;
        return points.map(([x], k) => [x, values[k], mean[k]]);
      });
      return { ...chart, lines };
    });
    rankings.forEach((name, which) => {
      const lines = tracks.map((_, i) =>
        (state.status.tracks[i]?.ranked || []).filter((point) => point[at] !== null && point[4 + which] !== null).map((point) => [point[at] ?? NaN, point[4 + which] ?? NaN, point[4 + which] ?? NaN]),
      );
      drawable.push({ title: `ranking: ${name}`, unit: "", direction: null, columns: [], lines });
    });
    return drawable.filter(({ lines }) => lines.some((points) => points.length));
  }

  /** @type {(place: Place, index: number) => Frame} */
  const frameOf = (place, index) => ({
    x: (index % place.columns) * place.cell + 34,
    y: Math.floor(index / place.columns) * place.line + 22,
    width: place.cell - 50,
    height: place.line - 44,
  });

  /** @type {(state: CompareState, theme: Theme) => void} */
  function draw(state, theme) {
    const shown = found(state);
    const width = canvas.clientWidth || 900;
    const columns = Math.max(1, Math.min(shown.length || 1, width > 700 ? 3 : width > 440 ? 2 : 1));
    const place = { columns, cell: width / columns, line: 164 };
    const pen = sharp(canvas, width, place.line * Math.max(1, Math.ceil(shown.length / columns)));
    drawn = { shown, place, state, theme };
    canvas.setAttribute("aria-label", shown.map(({ title }) => title).join(", "));
    canvas.dataset.charts = shown.map(({ title }) => title).join("; ");
    pen.font = `11px ${theme.font}`;
    pen.fillStyle = theme.text;
    if (!shown.length) pen.fillText("no step has been done yet: press Play", 40, 60);
    shown.forEach((chart, index) => drawChart(pen, chart, frameOf(place, index), state, theme));
    const missing = tracks.filter((track, i) => state.tracks[i].rows.length && !Number.isFinite(state.tracks[i].rows.at(-1)?.[track.columns[state.axis]]));
    note.textContent = missing.length ? `not drawn along ${state.axis}: ${missing.map(({ name }) => name).join(", ")}, which has none` : "";
  }

  /** @type {(pen: Pen, chart: Drawable, frame: Frame, state: CompareState, theme: Theme) => void} */
  function drawChart(pen, chart, { x, y, width, height }, state, theme) {
    const { title, lines } = chart;
    const axis = axisOf(chart, lines.map((points) => points.map((point) => point[1])), lines.map((points) => points.map((point) => point[2])));
    /** @type {(value: number) => number} */
    const across = (value) => x + (width * value) / Math.max(state.limit, 1e-9);
    /** @type {(value: number) => number} */
    const down = (value) => y + height * (1 - axis.place(value));
    pen.globalAlpha = 1;
    pen.fillStyle = theme.text;
    pen.font = `600 11px ${theme.font}`;
    pen.fillText(title, x, y - 8);
    pen.font = `10px ${theme.font}`;
    pen.globalAlpha = 0.06;
    pen.fillRect(x, y, width, height);
    drawTicks(pen, { x, y, width, height }, axis);
    pen.globalAlpha = 0.6;
    pen.textAlign = "right";
    pen.fillText(onAxis(state.limit, state.axis), x + width, y + height + 13);
    pen.textAlign = "left";
    pen.fillText("0", x, y + height + 13);
    pen.save();
    pen.beginPath();
    pen.rect(x, y - 1, width, height + 2);
    pen.clip();
    lines.forEach((points, i) => {
      pen.strokeStyle = hue(tracks[i], theme);
      const stride = Math.max(1, Math.floor(points.length / (2 * width)));
      for (const [column, strength, thick] of [[1, 0.16, 1], [2, 1, 2]]) {
        if (column === 1 && points.every((point) => point[1] === point[2])) continue;
        pen.globalAlpha = strength;
        pen.lineWidth = thick;
        pen.setLineDash(column === 2 ? tracks[i].dash : []);
        pen.beginPath();
        for (let k = 0; k < points.length; k += stride) pen.lineTo(across(points[k][0]), down(points[k][column]));
        for (const last of points.slice(-1)) pen.lineTo(across(last[0]), down(last[column]));
        pen.stroke();
        if (column === 2 && points.length === 1) pen.fillRect(across(points[0][0]) - 2, down(points[0][2]) - 2, 4, 4);
      }
      pen.setLineDash([]);
      pen.globalAlpha = 0.9;
      for (const at of state.marks[i]) {
        pen.beginPath();
        pen.moveTo(across(at), y + height);
        pen.lineTo(across(at), y + height - 9);
        pen.stroke();
      }
    });
    if (state.at !== null) cursorLine(pen, across(state.at), y, y + height, theme);
    pen.restore();
    pen.globalAlpha = 1;
  }

  // The chart and the place on the axis under the pointer, or null.
  /** @type {(event: Point) => {index: number, x: number} | null} */
  function find(event) {
    if (!drawn || !drawn.shown.length) return null;
    const { shown, place, state } = drawn;
    const index = shown.findIndex((_, i) => {
      const frame = frameOf(place, i);
      return event.offsetX >= frame.x && event.offsetX <= frame.x + frame.width && event.offsetY >= frame.y - 18 && event.offsetY <= frame.y + frame.height + 14;
    });
    if (index < 0) return null;
    const frame = frameOf(place, index);
    const x = (state.limit * (event.offsetX - frame.x)) / frame.width;
    return { index, x: state.axis === "steps" ? Math.round(x) : x };
  }

  canvas.addEventListener("click", (event) => {
    const found = find(event);
    if (found) go(found.x);
  });
  canvas.addEventListener("mousemove", (event) => {
    const found = find(event);
    if (!found) return tooltip.hide();
    const { index, x } = found;
    const { shown, state, theme } = drawn;
    const lines = shown[index].lines.map((points, i) => {
      if (!points.length) return { text: `${tracks[i].name}: nothing`, colour: hue(tracks[i], theme) };
      const { unit, direction } = shown[index];
      const [at, value, mean] = /** @type {number[]} */ (nearestRow(points, x));
      const trend = points.map((point) => point[2]);
      const best = bestAt(trend, direction);
      const record = best < 0 ? "" : `, best ${withUnit(trend[best], unit)}`;
      return { text: `${tracks[i].name}: ${withUnit(value, unit)}` + (value === mean ? "" : `, mean ${withUnit(mean, unit)}`) + ` at ${number(at)}${record}`, colour: hue(tracks[i], theme) };
    });
    tooltip.show(event, [{ text: `${shown[index].title}  ·  ${onAxis(x, state.axis)}`, strong: true }, ...lines]);
  });
  canvas.addEventListener("mouseleave", tooltip.hide);
  return draw;
}
