// The metrics of a search, one small chart each; noisy ones with their running mean.

import { drawTicks } from "./axis.js";
import { cursorLine, sharp } from "./canvas.js";
import { make } from "./elements.js";
import { scaleOf, withUnit } from "./numbers.js";
import { nearestRow } from "./rows.js";
import { axisOf, bestAt, nearestPlace, noisy, smoothed } from "./series.js";
/** @import { Chart, DrawCurves, Frame, Go, Pen, Point, Row, Theme, Tooltip } from "./types.js" */

/** @typedef {{width: number, height: number, columns: number, cell: number, line: number}} Place */
/**
 * A line of a chart: its values as they are read with their unit, their running mean if they are noisy, the place of the
 * best of that or -1, and whether it is measured only now and then.
 * @typedef {{steps: number[], raw: number[], mean: number[], best: number, sparse: boolean}} Line
 */

export const SERIES = [["#24292f", "#f0f3f6"], ["#c2188f", "#ff5fc4"], ["#5a1e6e", "#d9b8ff"], ["#8a94a0", "#8b98a5"], ["#b8005c", "#ffc2dd"], ["#8250df", "#b388ff"]];

/**
 * `go` takes the step that was clicked.
 * @param {HTMLElement} parent
 * @param {Chart[]} charts
 * @param {Record<string, number>} metrics Metric -> its column.
 * @param {Tooltip} tooltip
 * @param {Go | null} [go]
 * @returns {DrawCurves}
 */
export function curvesView(parent, charts, metrics, tooltip, go = null) {
  const canvas = make("canvas", "naslab-curves", parent);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", charts.map(({ title }) => title).join(", "));
  /** @type {{place: Place, rows: Row[], at: number | null, first: number, span: number, theme: Theme, shown: Line[][], marks: [step: number, text: string][]}} */
  let drawn;

  /** @type {(width: number) => Place} */
  function arrange(width) {
    const most = width > 760 ? 5 : width > 420 ? 3 : 2;
    const columns = Math.max(1, Math.ceil(charts.length / Math.ceil(charts.length / most)));
    const height = 104;
    return { width, columns, cell: width / columns, line: height, height: height * Math.ceil(charts.length / columns) };
  }

  /** @type {(place: Place, index: number) => Frame} */
  const frameOf = (place, index) => ({
    x: (index % place.columns) * place.cell + 34,
    y: Math.floor(index / place.columns) * place.line + 22,
    width: place.cell - 46,
    height: place.line - 40,
  });

  /** @type {(chart: Chart, i: number, theme: Theme) => string} */
  const colourOf = (chart, i, theme) => (chart.colours?.[i] || SERIES[i % SERIES.length])[theme.dark ? 1 : 0];

  // Metrics that are measured now and then come as points in the status, not as columns of the rows.
  /** @type {(chart: Chart, state: Parameters<DrawCurves>[0]) => Line[]} */
  function linesOf(chart, { rows, status }) {
    const scale = scaleOf(chart.unit);
    return chart.series.map(([name]) => {
      const points = status.measured?.[name];
      const steps = points ? points.map(([step]) => step) : rows.map((row) => row[0]);
      const raw = points ? points.map(([, value]) => scale * (value ?? NaN)) : rows.map((row) => scale * row[metrics[name]]);
      const mean = !points && noisy(raw, chart.unit) ? smoothed(raw) : raw;
      return { steps, raw, mean, best: bestAt(mean, chart.direction), sparse: Boolean(points) };
    });
  }

  /** @type {DrawCurves} */
  function draw(state, theme) {
    const { rows, status, at = null } = state;
    canvas.style.display = charts.length ? "" : "none";
    canvas.dataset.step = String(rows.length ? rows[rows.length - 1][0] : 0);
    canvas.dataset.charts = charts.map(({ title }) => title).join("; ");
    if (!charts.length) return;
    const place = arrange(canvas.clientWidth || 900);
    const pen = sharp(canvas, place.width, place.height);
    const first = rows.length ? rows[0][0] : 0;
    const span = rows.length ? Math.max(1, rows[rows.length - 1][0] - first) : 1;
    drawn = { place, rows, at, first, span, theme, shown: [], marks: status.marks || [] };
    pen.font = `10px ${theme.font}`;
    charts.forEach((chart, index) => {
      const lines = linesOf(chart, state);
      drawn.shown.push(lines);
      drawChart(pen, chart, frameOf(place, index), lines);
    });
  }

  /** @type {(pen: Pen, chart: Chart, frame: Frame, lines: Line[]) => void} */
  function drawChart(pen, chart, { x, y, width, height }, lines) {
    const { rows, at, first, span, theme, marks } = drawn;
    const axis = axisOf(chart, lines.map(({ raw }) => raw), lines.map(({ mean }) => mean));
    /** @type {(step: number) => number} */
    const across = (step) => x + (width * (step - first)) / span;
    /** @type {(value: number) => number} */
    const down = (value) => y + height * (1 - axis.place(value));
    heading(pen, chart, { x, y, width }, theme);
    pen.globalAlpha = 0.06;
    pen.fillRect(x, y, width, height);
    if (!rows.length) return;
    drawTicks(pen, { x, y, width, height }, axis);
    pen.save();
    pen.beginPath();
    pen.rect(x, y - 1, width, height + 2);
    pen.clip();
    pen.strokeStyle = theme.text;
    pen.setLineDash([2, 3]);
    for (const [step] of marks) {
      pen.globalAlpha = 0.5;
      pen.beginPath();
      pen.moveTo(across(step), y);
      pen.lineTo(across(step), y + height);
      pen.stroke();
    }
    pen.setLineDash([]);
    /** @type {(steps: number[], values: number[]) => void} */
    const trace = (steps, values) => {
      const stride = Math.max(1, Math.floor(steps.length / (2 * width)));
      pen.beginPath();
      let open = false;
      for (let i = 0; i < steps.length; i += stride) {
        if (Number.isFinite(values[i])) open ? pen.lineTo(across(steps[i]), down(values[i])) : pen.moveTo(across(steps[i]), down(values[i]));
        open = Number.isFinite(values[i]);
      }
      pen.stroke();
    };
    lines.forEach(({ steps, raw, mean, sparse }, i) => {
      pen.strokeStyle = pen.fillStyle = colourOf(chart, i, theme);
      if (raw !== mean) {
        pen.globalAlpha = 0.22;
        pen.lineWidth = 1;
        trace(steps, raw);
      }
      pen.globalAlpha = 1;
      pen.lineWidth = 1.8;
      trace(steps, mean);
      if (sparse && steps.length < width / 8) steps.forEach((step, k) => pen.fillRect(across(step) - 2, down(raw[k]) - 2, 4, 4));
    });
    if (at !== null) cursorLine(pen, across(at), y, y + height, theme);
    pen.restore();
    markBest(pen, chart, lines, across, down, theme);
    pen.globalAlpha = 0.55;
    pen.fillStyle = theme.text;
    pen.fillText(String(first), x, y + height + 12);
    pen.textAlign = "right";
    pen.fillText(String(first + span), x + width, y + height + 12);
    pen.textAlign = "left";
    pen.globalAlpha = 1;
  }

  // Marks the best of the last line, the validation's if there are two.
  /** @type {(pen: Pen, chart: Chart, lines: Line[], across: (step: number) => number, down: (value: number) => number, theme: Theme) => void} */
  function markBest(pen, chart, lines, across, down, theme) {
    const i = lines.length - 1;
    const { steps, mean, best } = lines[i];
    if (best < 0 || steps.length < 2) return;
    pen.globalAlpha = 1;
    pen.beginPath();
    pen.arc(across(steps[best]), down(mean[best]), 3.2, 0, 2 * Math.PI);
    pen.fillStyle = theme.ground;
    pen.fill();
    pen.lineWidth = 1.6;
    pen.strokeStyle = colourOf(chart, i, theme);
    pen.stroke();
  }

  // The title and, if there are several lines, as many of their names as fit beside it.
  /** @type {(pen: Pen, chart: Chart, frame: Omit<Frame, "height">, theme: Theme) => void} */
  function heading(pen, chart, { x, y, width }, theme) {
    pen.globalAlpha = 1;
    pen.fillStyle = theme.text;
    pen.font = `600 11px ${theme.font}`;
    pen.fillText(chart.title, x - 28, y - 8);
    let left = x - 28 + pen.measureText(chart.title).width + 8;
    pen.font = `10px ${theme.font}`;
    if (chart.series.length < 2 || chart.colours) return; // operations are in the legend of the view
    const room = chart.series.map(([, label]) => pen.measureText(label).width + 16);
    left = Math.max(left, x + width - room.reduce((a, b) => a + b) + 8);
    chart.series.forEach(([, label], i) => {
      if (left + room[i] - 8 > x + width + 8) return;
      pen.globalAlpha = 1;
      pen.fillStyle = colourOf(chart, i, theme);
      pen.fillRect(left, y - 13, 7, 4);
      pen.globalAlpha = 0.8;
      pen.fillStyle = theme.text;
      pen.fillText(label, left + 10, y - 8);
      left += room[i];
    });
  }

  // The chart and the step under the pointer, or null.
  /** @type {(event: Point) => {index: number, frame: Frame, step: number} | null} */
  function find({ offsetX: x, offsetY: y }) {
    if (!drawn || !drawn.rows.length) return null;
    const { place, rows, first, span } = drawn;
    const index = charts.findIndex((_, i) => {
      const frame = frameOf(place, i);
      return x >= frame.x && x <= frame.x + frame.width && y >= frame.y - 18 && y <= frame.y + frame.height + 14;
    });
    if (index < 0) return null;
    const frame = frameOf(place, index);
    return { index, frame, step: nearestRow(rows, first + (span * (x - frame.x)) / frame.width)[0] };
  }

  canvas.addEventListener("click", (event) => {
    const found = find(event);
    if (go && found) go(found.step);
  });
  canvas.addEventListener("mousemove", (event) => {
    const found = find(event);
    if (!found) return tooltip.hide();
    const { span, shown, theme, marks } = drawn;
    const { index, frame, step } = found;
    const chart = charts[index];
    const lines = shown[index].map(({ steps, raw, mean, best }, i) => {
      const at = nearestPlace(steps, step);
      const trend = raw === mean ? "" : `   mean ${withUnit(mean[at], chart.unit)}`;
      const record = best < 0 ? "" : `   best ${withUnit(mean[best], chart.unit)} at ${steps[best]}`;
      return { text: `${chart.series[i][1]}  ${withUnit(raw[at], chart.unit)}${trend}${record}`, colour: colourOf(chart, i, theme) };
    });
    const near = marks.filter(([at]) => Math.abs(at - step) * frame.width <= 8 * span).slice(-4);
    tooltip.show(event, [{ text: `${chart.title}  ·  step ${step}`, strong: true }, ...lines, ...near.map(([at, text]) => ({ text: `┊ step ${at}: ${text}` }))]);
  });
  canvas.addEventListener("mouseleave", tooltip.hide);
  return draw;
}
