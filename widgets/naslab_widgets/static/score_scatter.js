// The scores of a ranking against the true ranks.

import { roundMarks } from "./axis.js";
import { axes, CHART_HEIGHT, chartCanvas, diamond } from "./chart.js";
import { number } from "./numbers.js";
/** @import { DrawRanking, RankingDescription, Tooltip } from "./types.js" */

/**
 * A dot for each architecture of the ranking.
 * @param {HTMLElement} parent
 * @param {RankingDescription} description
 * @param {Tooltip} tooltip
 * @returns {DrawRanking}
 */
export function scatterChart(parent, { scores, best, truth, ranks, names, size, derived, lines, score: axis }, tooltip) {
  const canvas = chartCanvas(parent, "scatter", `${axis.title} against the true rank`);
  /** @type {{x: number, y: number, name: string, text: string}[]} */
  let dots = [];

  /** @type {DrawRanking} */
  function draw(_, row, theme) {
    const own = row ? Array.from(row.subarray(scores), (value) => axis.scale * value) : [];
    const known = [...own, row ? axis.scale * row[best] : 0].filter(Number.isFinite);
    const marks = roundMarks(Math.min(0, ...known), Math.max(0.1 * Math.abs(axis.scale), ...known));
    const title = row ? [axis.title, `, step ${row[0]}`] : axis.title;
    const up = /** @type {[number, number]} */ ([marks[0], marks[marks.length - 1]]);
    const { pen, x, y, left } = axes(canvas, theme, { title, across: [size, 1], up, marks, label: "true rank, of all in the table" });
    dots = own.map((score, i) => ({ x: x(ranks[i]), y: y(score), name: names[i], text: `score ${number(score)}, truth ${number(truth[i])}, rank ${ranks[i].toLocaleString("en")}` }));
    pen.fillStyle = lines[0].colours[theme.dark ? 1 : 0];
    pen.globalAlpha = 0.6;
    for (const dot of dots) {
      pen.beginPath();
      pen.arc(dot.x, dot.y, 3, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
    pen.strokeStyle = theme.text;
    pen.lineWidth = 1;
    pen.fillStyle = derived[theme.dark ? 1 : 0];
    diamond(pen, left + 6, CHART_HEIGHT - 9, 5);
    if (row && Number.isFinite(row[best + 2])) {
      const [raw, worth, rank] = row.subarray(best, best + 3);
      const score = axis.scale * raw;
      diamond(pen, x(rank), y(score), 7);
      dots.push({ x: x(rank), y: y(score), name: "what would be derived", text: `score ${number(score)}, truth ${number(worth)}, rank ${rank.toLocaleString("en")}` });
    }
    pen.fillStyle = theme.text;
    pen.fillText("what would be derived", left + 16, CHART_HEIGHT - 5);
    canvas.dataset.dots = String(dots.length);
  }

  canvas.addEventListener("mousemove", (event) => {
    /** @type {(dot: {x: number, y: number}) => number} */
    const far = (dot) => Math.hypot(dot.x - event.offsetX, dot.y - event.offsetY);
    const nearest = dots.reduce((a, b) => (a && far(a) <= far(b) ? a : b), /** @type {typeof dots[number] | null} */ (null));
    if (!nearest || far(nearest) > 12) return tooltip.hide();
    tooltip.show(event, [{ text: nearest.name, strong: true }, { text: nearest.text }]);
  });
  canvas.addEventListener("mouseleave", tooltip.hide);
  return draw;
}
