// Kendall's tau, Spearman's rho and top-k overlap of a ranking, over the steps.

import { cursorLine } from "./canvas.js";
import { axes, CHART_HEIGHT, chartCanvas, trace } from "./chart.js";
import { number } from "./numbers.js";
import { nearestRow } from "./rows.js";
/** @import { Colours, DrawRanking, Go, Point, RankingDescription, Row, Theme, Tooltip } from "./types.js" */

export const DASHES = [[], [6, 3], [2, 3]];

/**
 * The statistics over the steps, the first with its interval.
 * @param {HTMLElement} parent
 * @param {RankingDescription} description
 * @param {Tooltip} tooltip
 * @param {(step: number | null) => void} show
 * @param {Go} go
 * @returns {DrawRanking}
 */
export function correlationChart(parent, { lines, columns, best }, tooltip, show, go) {
  const canvas = chartCanvas(parent, "figures", "Kendall's tau, Spearman's rho and top-k overlap over the steps");
  /** @type {{rows: Row[], theme: Theme, at: ReturnType<typeof axes>, across: [number, number]}} */
  let drawn;

  /** @type {DrawRanking} */
  function draw({ rows, status, at: moment = null }, row, theme) {
    /** @type {(line: {colours: Colours}) => string} */
    const colour = (line) => line.colours[theme.dark ? 1 : 0];
    const ends = lines.flatMap(({ figure }) => rows.flatMap((r) => [r[columns[figure]], figure === "kendall" ? r[columns[figure] + 1] : NaN]));
    const low = Math.max(-1, Math.min(-0.2, ...ends.filter(Number.isFinite)));
    /** @type {[number, number]} */
    const across = [rows.length ? rows[0][0] : 0, Math.max(2, status.end || 0)];
    const at = axes(canvas, theme, { title: "what the ranking is worth", across, up: [low, 1], marks: [0, 0.5, 1], label: "step" });
    const { pen, x, y } = at;
    drawn = { rows, theme, at, across };
    const tau = columns.kendall;
    const band = rows.filter((r) => Number.isFinite(r[tau]));
    if (band.length) {
      pen.beginPath();
      for (const r of band) pen.lineTo(x(r[0]), y(r[tau + 2]));
      for (const r of [...band].reverse()) pen.lineTo(x(r[0]), y(r[tau + 1]));
      pen.closePath();
      pen.fillStyle = colour(lines[0]);
      pen.globalAlpha = 0.16;
      pen.fill();
      pen.globalAlpha = 1;
    }
    if (row && rows.length > 1) {
      pen.fillStyle = theme.text;
      pen.globalAlpha = 0.35;
      pen.fillRect(x(row[0]) - 0.5, at.top, 1, at.bottom - at.top);
      pen.globalAlpha = 1;
    }
    let right = at.left;
    lines.forEach((line, i) => {
      pen.strokeStyle = colour(line);
      pen.lineWidth = 1.9;
      pen.setLineDash(DASHES[i]);
      trace(pen, rows.map((r) => [x(r[0]), y(r[columns[line.figure]])]));
      trace(pen, [[right, CHART_HEIGHT - 9], [right + 16, CHART_HEIGHT - 9]]);
      pen.setLineDash([]);
      if (rows.length < 40)
        for (const r of rows) {
          if (!Number.isFinite(r[columns[line.figure]])) continue;
          pen.fillStyle = colour(line);
          pen.beginPath();
          pen.arc(x(r[0]), y(r[columns[line.figure]]), 2.3, 0, 2 * Math.PI);
          pen.fill();
        }
      pen.fillStyle = theme.text;
      pen.fillText(line.label, right + 20, CHART_HEIGHT - 5);
      right += 34 + pen.measureText(line.label).width;
    });
    if (moment !== null && moment >= across[0]) cursorLine(pen, x(moment), at.top, at.bottom, theme);
    canvas.dataset.step = String(rows.at(-1)?.[0] ?? 0);
    canvas.dataset.shown = String(row?.[0] ?? 0);
  }

  /** @type {(event: Point) => number} */
  const stepUnder = ({ offsetX }) => {
    const { at, across } = drawn;
    return across[0] + ((across[1] - across[0]) * (offsetX - at.left)) / (at.right - at.left);
  };
  canvas.addEventListener("click", (event) => drawn && drawn.rows.length && go(stepUnder(event)));
  canvas.addEventListener("mousemove", (event) => {
    if (!drawn || !drawn.rows.length) return;
    const { rows, theme } = drawn;
    const row = nearestRow(rows, stepUnder(event));
    show(row[0]);
    /** @type {(place: number) => string} */
    const withInterval = (place) => `${number(row[place])}` + (Number.isFinite(row[place]) ? `   (${number(row[place + 1])} to ${number(row[place + 2])})` : "");
    tooltip.show(event, [
      { text: `step ${row[0]}`, strong: true },
      ...lines.map((line) => ({ text: `${line.label}  ${withInterval(columns[line.figure])}`, colour: line.colours[theme.dark ? 1 : 0] })),
      { text: `regret of the best by score  ${withInterval(columns.regret)}` },
      { text: `derived: truth ${number(row[best + 1])}, rank ${number(row[best + 2])}` },
    ]);
  });
  canvas.addEventListener("mouseleave", () => {
    show(null);
    tooltip.hide();
  });
  return draw;
}
