// softmax(alpha) of one part: a small chart for each edge, and the whole matrix as a heat map.

import { cursorLine, hue, sharp } from "./canvas.js";
import { make } from "./elements.js";
import { nearestRow } from "./rows.js";
/** @import { Cursor, DrawLive, Frame, Go, Operation, Part, Pen, Row, Shown, Theme, Tooltip } from "./types.js" */

/**
 * Where everything stands at a width: the charts (`columns` of them in a line), and the heat map, folded after `deep` rows.
 * @typedef {object} Place
 * @property {number} width
 * @property {number} height
 * @property {number} columns
 * @property {{width: number, height: number}} chart
 * @property {{x: number, y: number, cell: number, deep: number, across: number}} heat
 */

// With more edges, the heat map is folded and the charts stand below it.
export const MANY_EDGES = 20;

/**
 * Charts and heat map in one canvas, or in one canvas each if there are many edges.
 * @param {HTMLElement} parent
 * @param {Part} part
 * @param {Operation[]} operations
 * @param {Tooltip} tooltip
 * @param {Go} go
 * @param {Cursor} cursor
 * @returns {DrawLive[]}
 */
export function alphaViews(parent, part, operations, tooltip, go, cursor) {
  if (part.labels.length <= MANY_EDGES) return [alphaView(parent, part, operations, tooltip, { go, cursor })];
  return [alphaView(parent, part, operations, tooltip, { charts: false, cursor }), alphaView(parent, part, operations, tooltip, { heat: false, go, cursor })];
}

/**
 * `go` takes the step that was clicked in a chart; a click selects an edge in the panel's `cursor`.
 * @param {HTMLElement} parent
 * @param {Part} part
 * @param {Operation[]} operations
 * @param {Tooltip} tooltip
 * @param {{charts?: boolean, heat?: boolean, go?: Go | null, cursor?: Cursor | null}} [options]
 * @returns {(shown: Shown, theme: Theme, focus: number | null, hidden?: boolean) => void}
 */
export function alphaView(parent, part, operations, tooltip, { charts = true, heat = true, go = null, cursor = null } = {}) {
  const canvas = make("canvas", heat ? "naslab-alpha" : "naslab-alpha naslab-alpha-many", parent);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `softmax of alpha, ${part.name}`);
  const count = operations.length;
  const edges = part.labels.length;
  const TOP = 18; // pixels for the heading
  /** @type {{place: Place, rows: Row[], moment: Row | undefined, at: number | null, low: number, high: number, first: number, span: number, theme: Theme, otherwise: string[][]}} */
  let drawn;

  // Charts go on the left, the heat map on the right.
  /** @type {(width: number) => Place} */
  function arrange(width) {
    const cell = edges > 6 ? 14 : 18;
    const low = edges > 6 ? 46 : 56; // the height of a row of charts
    const heatWidth = 46 + count * cell;
    if (!charts) {
      const folds = Math.ceil(edges / MANY_EDGES);
      const deep = Math.ceil(edges / (folds > 1 ? folds + 1 : 1)); // rows of a column of the folded map
      const across = heatWidth + 14;
      return { width: across * Math.ceil(edges / deep), height: TOP + deep * cell + 12, columns: 1, chart: { width: 0, height: 0 }, heat: { x: 60, y: TOP + 10, cell, deep, across } };
    }
    const room = heat ? width - heatWidth - 18 : width;
    const most = heat ? 5 : Math.ceil(edges / 3);
    const lines = Math.ceil(edges / Math.max(2, Math.min(heat ? Math.ceil(Math.sqrt(1.4 * edges)) : most, most, Math.floor(room / 64))));
    const columns = Math.ceil(edges / lines);
    const height = TOP + (heat ? Math.max(lines * low, edges * cell + 12, 110) : lines * low);
    return {
      width,
      height,
      columns,
      chart: { width: room / columns, height: Math.min(90, (height - TOP) / lines) },
      heat: { x: width - heatWidth + 46, y: TOP + 10, cell, deep: edges, across: heatWidth },
    };
  }

  /** @type {(rows: Row[]) => [low: number, high: number]} */
  function limits(rows) {
    let low = 1;
    let high = 0;
    for (const row of rows)
      for (let i = part.probabilities; i < part.probabilities + edges * count; i++) {
        if (row[i] < low) low = row[i];
        if (row[i] > high) high = row[i];
      }
    if (!rows.length) [low, high] = [0, 1];
    const slack = Math.max(0, 0.02 - (high - low)) / 2;
    return [Math.max(0, low - slack), Math.min(1, high + slack)];
  }

  /** @type {(place: Place, edge: number) => Frame} */
  const frameOf = (place, edge) => ({
    x: (edge % place.columns) * place.chart.width,
    y: TOP + Math.floor(edge / place.columns) * place.chart.height + 14,
    width: place.chart.width - 10,
    height: place.chart.height - 20,
  });

  // `moment` is the row of the heat map; `at` is the step that is shown instead of the newest.
  /**
   * @param {Shown} shown
   * @param {Theme} theme
   * @param {number | null} focus
   */
  function draw({ rows, moment = rows[rows.length - 1], at = null, otherwise = [] }, theme, focus, hidden = false) {
    canvas.style.display = hidden ? "none" : "";
    const place = arrange(canvas.clientWidth || 500);
    if (!charts) canvas.style.width = `${place.width}px`;
    const pen = sharp(canvas, place.width, place.height);
    const [low, high] = limits(rows);
    const first = rows.length ? rows[0][0] : 0;
    const span = rows.length ? Math.max(1, rows[rows.length - 1][0] - first) : 1;
    drawn = { place, rows, moment, at, low, high, first, span, theme, otherwise };
    pen.font = `10px ${theme.font}`;
    pen.fillStyle = theme.text;
    pen.globalAlpha = 0.6;
    pen.fillText(`softmax(α)  ${low.toFixed(2)} – ${high.toFixed(2)}`, 1, 10);
    for (let edge = 0; edge < edges && charts; edge++) drawChart(pen, edge, frameOf(place, edge), focus);
    if (moment && heat) drawHeat(pen, moment, focus);
    if (cursor?.selected?.part === part.name && cursor.selected.edge < edges) drawRing(pen, cursor.selected.edge);
    canvas.dataset.step = String(moment ? moment[0] : 0);
  }

  /** @type {(pen: Pen, edge: number, frame: Frame, focus: number | null) => void} */
  function drawChart(pen, edge, { x, y, width, height }, focus) {
    const { rows, at, low, high, first, span, theme } = drawn;
    pen.fillStyle = theme.text;
    pen.globalAlpha = 0.75;
    pen.fillText(part.labels[edge], x + 1, y - 4);
    pen.globalAlpha = 0.06;
    pen.fillRect(x, y, width, height);
    const stride = Math.max(1, Math.floor(rows.length / (2 * width)));
    /** @type {(value: number) => number} */
    const fall = (value) => y + height * (1 - (value - low) / (high - low));
    for (let operation = 0; operation < count; operation++) {
      const column = part.probabilities + edge * count + operation;
      pen.globalAlpha = focus === null || focus === operation ? 1 : 0.12;
      pen.strokeStyle = hue(operations[operation], theme);
      pen.lineWidth = focus === operation ? 2.2 : 1.4;
      pen.beginPath();
      for (let i = 0; i < rows.length; i += stride) {
        const row = rows[i + stride < rows.length ? i : rows.length - 1];
        pen.lineTo(x + (width * (row[0] - first)) / span, fall(row[column]));
      }
      pen.stroke();
    }
    if (at !== null && rows.length) cursorLine(pen, x + (width * (at - first)) / span, y, y + height, theme);
    pen.globalAlpha = 1;
  }

  /** @type {(pen: Pen, row: Row, focus: number | null) => void} */
  function drawHeat(pen, row, focus) {
    const { place, theme } = drawn;
    const { cell, deep } = place.heat;
    const ink = theme.dark ? "#7cc8f4" : "#0b4f8a";
    const values = row.subarray(part.probabilities, part.probabilities + edges * count);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    for (let edge = 0; edge < edges; edge++) {
      const { x, y } = placeOf(place.heat, edge);
      for (let operation = 0; operation < count && edge % deep === 0; operation++) {
        pen.globalAlpha = focus === null || focus === operation ? 1 : 0.2;
        pen.fillStyle = hue(operations[operation], theme);
        pen.fillRect(x + operation * cell, y - 9, cell - 1, 5);
      }
      pen.globalAlpha = 0.75;
      pen.fillStyle = theme.text;
      pen.textAlign = "right";
      pen.fillText((drawn.otherwise[edge]?.length ? "≠ " : "") + part.labels[edge], x - 5, y + cell / 2 + 3);
      pen.textAlign = "left";
      for (let operation = 0; operation < count; operation++) {
        const share = (values[edge * count + operation] - least) / Math.max(most - least, 1e-6);
        pen.fillStyle = ink;
        pen.globalAlpha = 0.05 + 0.95 * share;
        pen.fillRect(x + operation * cell, y, cell - 1, cell - 1);
      }
      const kept = row[part.kept + edge];
      if (kept >= 0) {
        pen.globalAlpha = 1;
        pen.strokeStyle = theme.text;
        pen.lineWidth = 1.5;
        pen.strokeRect(x + kept * cell + 0.5, y + 0.5, cell - 2, cell - 2);
      }
    }
    pen.globalAlpha = 1;
  }

  // Marks the selected edge.
  /** @type {(pen: Pen, edge: number) => void} */
  function drawRing(pen, edge) {
    const { place, theme } = drawn;
    pen.strokeStyle = theme.text;
    pen.lineWidth = 2;
    if (heat) {
      const { x, y } = placeOf(place.heat, edge);
      pen.strokeRect(x - 1, y - 1, count * place.heat.cell, place.heat.cell + 1);
    }
    if (charts) {
      const frame = frameOf(place, edge);
      pen.strokeRect(frame.x, frame.y, frame.width, frame.height);
    }
  }

  // The corner of an edge's row in the heat map, which may be folded into columns.
  /** @type {(map: Place["heat"], edge: number) => {x: number, y: number}} */
  const placeOf = ({ x, y, cell, deep, across }, edge) => ({ x: x + Math.floor(edge / deep) * across, y: y + (edge % deep) * cell });

  // The edge, row and operation under the pointer, or null; with `named`, the labels of the rows count as well.
  /** @type {(x: number, y: number, named?: boolean) => {edge: number, operation: number, row: Row, step?: number} | null} */
  function find(x, y, named = false) {
    const { place, rows, low, high, first, span } = drawn;
    const moment = /** @type {Row} */ (drawn.moment);
    for (let edge = 0; edge < edges && heat; edge++) {
      const corner = placeOf(place.heat, edge);
      const operation = Math.floor((x - corner.x) / place.heat.cell);
      if (named && x < corner.x && x > corner.x - 46 && y >= corner.y && y < corner.y + place.heat.cell) return { edge, operation: 0, row: moment };
      if (operation >= 0 && operation < count && y >= corner.y && y < corner.y + place.heat.cell) return { edge, operation, row: moment };
    }
    for (let chart = 0; chart < edges && charts; chart++) {
      const frame = frameOf(place, chart);
      if (x < frame.x || x > frame.x + frame.width || y < frame.y - 12 || y > frame.y + frame.height + 4) continue;
      const row = nearestRow(rows, first + (span * (x - frame.x)) / frame.width);
      const value = low + (high - low) * (1 - (y - frame.y) / frame.height);
      let nearest = 0;
      for (let i = 1; i < count; i++) {
        const column = part.probabilities + chart * count;
        if (Math.abs(row[column + i] - value) < Math.abs(row[column + nearest] - value)) nearest = i;
      }
      return { edge: chart, operation: nearest, row, step: row[0] };
    }
    return null;
  }

  canvas.addEventListener("mousemove", (event) => {
    if (!drawn || !drawn.rows.length) return;
    const found = find(event.offsetX, event.offsetY);
    if (!found) return tooltip.hide();
    /** @type {(operation: number) => number} */
    const value = (operation) => found.row[part.probabilities + found.edge * count + operation];
    const order = operations.map((_, i) => i).sort((a, b) => value(b) - value(a));
    tooltip.show(event, [
      { text: `${part.name}  ${part.labels[found.edge]}  ·  step ${found.row[0]}`, strong: true },
      ...order.map((i) => ({
        text: `${value(i).toFixed(3)}  ${operations[i].name}`,
        colour: hue(operations[i], drawn.theme),
        strong: i === found.operation,
      })),
    ]);
  });
  canvas.addEventListener("mouseleave", tooltip.hide);
  if (cursor) canvas.classList.add("naslab-pickable");
  canvas.addEventListener("click", (event) => {
    const found = drawn && drawn.rows.length ? find(event.offsetX, event.offsetY, true) : null;
    if (cursor && found) cursor.set({ selected: { part: part.name, edge: found.edge } });
    if (go && found?.step !== undefined) go(found.step);
  });
  return draw;
}
