// The searcher's own numbers over the steps, as curves.

import { curvesView } from "./curves.js";
import { make } from "./elements.js";
import { columnsByName } from "./stream.js";
/** @import { Chart, DrawCurves, DrawTrials, Go, Tooltip } from "./types.js" */

export const Q_VALUES = "q/"; // prefix of a decision's name

/**
 * Charts of the metrics of the search (`known`), and of the searcher's own numbers: one for each number, and one for the
 * first few of each list, once it has changed. Hurdles and Q-values are shown elsewhere. The lines of a list with one
 * entry for each rung are named by the epochs of the rung.
 * @param {{rows: ArrayLike<number>[], columns?: [name: string, width: number][]} | undefined} table
 * @param {Chart[]} known
 * @returns {{charts: Chart[], metrics: Record<string, number>}}
 */
export function chartsOf(table, known) {
  const rows = table?.rows ?? [];
  const found = table ? columnsByName(table.columns) : new Map();
  const metrics = Object.fromEntries(known.flatMap(({ series }) => series).filter(([name]) => found.has(name)).map(([name]) => [name, found.get(name).start]));
  const charts = known.map((chart) => ({ ...chart, series: chart.series.filter(([name]) => name in metrics) })).filter(({ series }) => series.length);
  for (const [name, { start, width }] of found) {
    if (name in metrics || name === "hurdles" || name.startsWith(Q_VALUES)) continue;
    const columns = Array.from({ length: Math.min(width, 4) }, (_, i) => start + i);
    if (columns.every((column) => rows.every((row) => Object.is(row[column], rows[0][column])))) continue;
    const rungs = found.get("epochs");
    /** @type {(i: number) => number} */
    const epochs = (i) => rows[rows.length - 1][rungs.start + i];
    /** @type {(i: number) => string} */
    const line = (i) => (rungs?.width === width ? `${epochs(i)} ${epochs(i) === 1 ? "epoch" : "epochs"}` : String(i + 1));
    columns.forEach((column, i) => (metrics[`${name}/${i}`] = column));
    charts.push({ title: name.replaceAll("_", " "), unit: "", direction: null, series: columns.map((_, i) => [`${name}/${i}`, columns.length > 1 ? line(i) : name]) });
  }
  return { charts, metrics };
}

/**
 * Curves of the metrics of the search and of the searcher's own numbers.
 * @param {HTMLElement} parent
 * @param {Chart[]} known
 * @param {Tooltip} tooltip
 * @param {Go} go
 * @returns {DrawTrials}
 */
export function detailsView(parent, known, tooltip, go) {
  make("h4", "", parent, "the searcher's diagnostics");
  const box = make("div", "", parent);
  let named = "";
  /** @type {DrawCurves | null} */
  let draw = null;
  return function (state, theme) {
    const table = state.tables.details;
    const measured = known.filter(({ series }) => series.some(([name]) => state.status.measured?.[name]));
    const { charts, metrics } = chartsOf(table, known.filter((chart) => !measured.includes(chart)));
    charts.push(...measured);
    parent.style.display = charts.length ? "" : "none";
    if (!charts.length) return;
    if (named !== JSON.stringify([charts, metrics])) {
      named = JSON.stringify([charts, metrics]);
      box.replaceChildren();
      draw = curvesView(box, charts, metrics, tooltip, go);
    }
    draw?.({ rows: table?.rows || [], status: state.status, at: state.at }, theme);
  };
}
