// The true worth of the architecture that would be derived, over the steps.

import { roundMarks } from "./axis.js";
import { cursorLine } from "./canvas.js";
import { axes, CHART_HEIGHT, chartCanvas, trace } from "./chart.js";
import { number } from "./numbers.js";
/** @import { DrawRanking, Go, Point, RankingDescription, Row, Tooltip } from "./types.js" */

/**
 * A staircase: the derived architecture changes now and then.
 * @param {HTMLElement} parent
 * @param {RankingDescription} description
 * @param {Tooltip} tooltip
 * @param {Go} go
 * @returns {DrawRanking}
 */
export function derivedChart(parent, { derived, optimum, size }, tooltip, go) {
  const canvas = chartCanvas(parent, "derived", "true worth of the derived architecture over the steps");
  /** @type {{path: Row[], at: ReturnType<typeof axes>, end: number}} */
  let drawn;

  /** @type {DrawRanking} */
  function draw({ path, status, at: moment = null }, _, theme) {
    const seen = path.map((p) => p[1]).filter(Number.isFinite);
    const marks = roundMarks(Math.min(optimum - 1, ...seen), optimum);
    const end = Math.max(2, status.end || 0);
    const up = /** @type {[number, number]} */ ([marks[0], marks[marks.length - 1]]);
    const at = axes(canvas, theme, { title: "true worth of what would be derived", across: [1, end], up, marks, label: "step" });
    const { pen, x, y } = at;
    drawn = { path, at, end };
    pen.strokeStyle = theme.text;
    pen.globalAlpha = 0.55;
    pen.setLineDash([4, 3]);
    trace(pen, [[at.left, y(optimum)], [at.right, y(optimum)]]);
    if (status.turn) {
      const turn = x(status.turn.step);
      pen.setLineDash([2, 3]);
      trace(pen, [[turn, at.top], [turn, at.bottom]]);
      pen.globalAlpha = 0.9;
      pen.fillStyle = theme.text;
      pen.textAlign = status.turn.step > end / 2 ? "right" : "left";
      pen.fillText(`worse from step ${status.turn.step.toLocaleString("en")}`, turn, CHART_HEIGHT - 5);
      pen.textAlign = "left";
    }
    pen.setLineDash([]);
    pen.globalAlpha = 1;
    pen.strokeStyle = derived[theme.dark ? 1 : 0];
    pen.lineWidth = 1.9;
    /** @type {[number, number][]} */
    const corners = path.flatMap(([step, truth], i) => [
      [x(step), y(truth)],
      [x(i + 1 < path.length ? path[i + 1][0] : end), y(truth)],
    ]);
    trace(pen, corners);
    pen.fillStyle = theme.text;
    pen.globalAlpha = 0.65;
    pen.textAlign = "right";
    pen.fillText("best of the table", at.right, y(optimum) - 4);
    pen.textAlign = "left";
    pen.globalAlpha = 1;
    if (moment !== null) cursorLine(pen, x(moment), at.top, at.bottom, theme);
    canvas.dataset.step = String(status.end || 0);
    canvas.dataset.turn = String(status.turn?.step ?? "");
    canvas.dataset.truth = String(path.at(-1)?.[1] ?? "");
  }

  /** @type {(event: Point) => number} */
  const stepUnder = ({ offsetX }) => 1 + ((drawn.end - 1) * (offsetX - drawn.at.left)) / (drawn.at.right - drawn.at.left);
  canvas.addEventListener("click", (event) => drawn && drawn.path.length && go(stepUnder(event)));
  canvas.addEventListener("mousemove", (event) => {
    if (!drawn || !drawn.path.length) return;
    const { path } = drawn;
    const step = stepUnder(event);
    const [since, truth, rank, regret] = path.filter(([first]) => first <= step).pop() || path[0];
    tooltip.show(event, [
      { text: `derived from step ${since} on`, strong: true },
      { text: Number.isFinite(truth) ? `truth ${number(truth)}, rank ${rank.toLocaleString("en")} of ${size.toLocaleString("en")}` : "not in the table" },
      ...(Number.isFinite(regret) ? [{ text: `regret ${number(regret)}` }] : []),
    ]);
  });
  canvas.addEventListener("mouseleave", tooltip.hide);
  return draw;
}
