// Population and family tree over the order of the trials. A family is everything that descends, by first parents, from one
// founder; the largest families have a colour each.

import { cursorLine, sharp } from "./canvas.js";
import { make } from "./elements.js";
import { drawOrder, ORDER_LEFT, orderScale } from "./order.js";
import { nearestRow } from "./rows.js";
import { ancestryOf } from "./trial_queries.js";
import { trialLines } from "./words.js";
/** @import { Choose, Columns, DrawTrials, Go, OrderScale, Pen, Point, Row, Theme, Tooltip, TrialsDescription, TrialsState } from "./types.js" */

/**
 * Shares of the families above, the tree of descent below.
 * @param {HTMLElement} parent
 * @param {Columns} C
 * @param {Pick<TrialsDescription, "families" | "population" | "truth">} description
 * @param {Tooltip} tooltip
 * @param {Choose} choose
 * @param {Go} go
 * @returns {DrawTrials}
 */
export function familyView(parent, C, description, tooltip, choose, go) {
  make("h4", "", parent, `families: their share of the last ${description.population} evaluations; below, who descends from whom, one generation a line`);
  const canvas = make("canvas", "naslab-family", parent);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "population over time and family tree");
  const SHARES = { top: 4, bottom: 84 };
  const TREE = { top: 102, bottom: 282 };
  const HEIGHT = 304;
  const other = description.families.length - 1;
  /** @type {{state: TrialsState, scale: OrderScale, down: (generation: number) => number, theme: Theme}} */
  let drawn;

  /** @type {DrawTrials} */
  function draw(state, theme, chosen) {
    const table = state.tables.population;
    const shown = Boolean(table?.rows.length);
    parent.style.display = shown ? "" : "none";
    if (!shown) return;
    const width = canvas.clientWidth || 900;
    const pen = sharp(canvas, width, HEIGHT);
    const scale = orderScale(state, width);
    const deepest = state.trials.reduce((most, row) => Math.max(most, row[C.generation]), 1);
    /** @type {(generation: number) => number} */
    const down = (generation) => TREE.top + ((TREE.bottom - TREE.top) * generation) / deepest;
    drawn = { state, scale, down, theme };
    pen.font = `10px ${theme.font}`;
    pen.fillStyle = theme.text;
    pen.globalAlpha = 0.65;
    pen.textAlign = "right";
    pen.fillText("100 %", ORDER_LEFT - 6, SHARES.top + 8);
    pen.fillText("0", ORDER_LEFT - 6, SHARES.bottom);
    for (const generation of new Set([0, Math.round(deepest / 2), deepest])) pen.fillText(String(generation), ORDER_LEFT - 6, down(generation) + 3);
    drawOrder(pen, scale, HEIGHT - 4, "evaluation");
    drawShares(pen, table.rows);
    drawTree(pen, chosen);
    if (typeof state.at === "number") cursorLine(pen, scale.across(state.at), SHARES.top, TREE.bottom, theme);
    pen.globalAlpha = 1;
    canvas.dataset.step = String(state.status.step);
  }

  /** @type {(slot: number) => string} */
  const colourOf = (slot) => description.families[slot][drawn.theme.dark ? 1 : 0];
  /** @type {(row: Row) => number} */
  const slotOf = (row) => {
    const slot = drawn.state.families.indexOf(row[C.family]);
    return slot < 0 ? other : slot;
  };

  /** @type {(pen: Pen, rows: Row[]) => void} */
  function drawShares(pen, rows) {
    const height = SHARES.bottom - SHARES.top;
    const floor = rows.map(() => 0);
    pen.globalAlpha = 0.85;
    for (let slot = 0; slot <= other; slot++) {
      const top = rows.map((row, i) => (slot === other ? 1 : floor[i] + row[1 + slot]));
      pen.fillStyle = colourOf(slot);
      if (slot === other) pen.globalAlpha = 0.3;
      pen.beginPath();
      rows.forEach((row, i) => pen.lineTo(drawn.scale.across(row[0]), SHARES.bottom - height * top[i]));
      for (let i = rows.length - 1; i >= 0; i--) pen.lineTo(drawn.scale.across(rows[i][0]), SHARES.bottom - height * floor[i]);
      pen.fill();
      top.forEach((value, i) => (floor[i] = value));
    }
  }

  /** @type {(path: Path2D, row: Row) => void} */
  function trace(path, row) {
    const { scale, down } = drawn;
    if (!Number.isFinite(row[C.parent_step])) return;
    path.moveTo(scale.across(row[C.parent_step]), down(row[C.generation] - (row[C.stage] > 0 ? 0 : 1)));
    path.lineTo(scale.across(row[C.step]), down(row[C.generation]));
  }

  /** @type {(pen: Pen, chosen: number | null) => void} */
  function drawTree(pen, chosen) {
    const { state, scale, down, theme } = drawn;
    const many = state.trials.length > 600;
    const lines = description.families.map(() => new Path2D());
    const dots = description.families.map(() => new Path2D());
    for (const row of state.trials) {
      const slot = slotOf(row);
      trace(lines[slot], row);
      dots[slot].rect(scale.across(row[C.step]) - 1, down(row[C.generation]) - 1, 2.5, 2.5);
    }
    for (let slot = other; slot >= 0; slot--) {
      pen.strokeStyle = pen.fillStyle = colourOf(slot);
      pen.lineWidth = 0.8;
      pen.globalAlpha = (many ? 0.3 : 0.55) * (chosen === null ? 1 : 0.35);
      pen.stroke(lines[slot]);
      pen.globalAlpha = chosen === null ? 0.9 : 0.35;
      pen.fill(dots[slot]);
    }
    const focus = chosen ?? state.best?.number;
    if (focus === undefined) return;
    const line = ancestryOf(state, focus, C);
    const path = new Path2D();
    for (const row of line) trace(path, row);
    pen.globalAlpha = 1;
    pen.strokeStyle = pen.fillStyle = theme.text;
    pen.lineWidth = 2;
    pen.stroke(path);
    for (const row of line) {
      pen.beginPath();
      pen.arc(scale.across(row[C.step]), down(row[C.generation]), row[C.number] === focus ? 4.5 : 2.5, 0, 7);
      pen.fill();
    }
  }

  /** @type {(event: Point) => Row | null} */
  function find({ offsetX: x, offsetY: y }) {
    let nearest = null;
    let least = 10 ** 2;
    if (drawn && y > SHARES.bottom)
      for (const row of drawn.state.trials) {
        const distance = (drawn.scale.across(row[C.step]) - x) ** 2 + (drawn.down(row[C.generation]) - y) ** 2;
        if (distance < least) [nearest, least] = [row, distance];
      }
    return nearest;
  }

  // The shares of the families at the step under the pointer.
  /** @type {(event: MouseEvent) => void} */
  function showShares(event) {
    const { state, scale } = drawn;
    const row = nearestRow(state.tables.population.rows, scale.at(event.offsetX));
    const lines = state.families
      .map((family, slot) => ({ family, share: row[1 + slot], colour: colourOf(slot) }))
      .filter(({ family, share }) => family !== null && share > 0)
      .sort((a, b) => b.share - a.share)
      .map(({ family, share, colour }) => ({ text: `${(100 * share).toFixed(0)} %  family of ${family}`, colour }));
    tooltip.show(event, [{ text: `at evaluation ${row[0]}`, strong: true }, ...lines]);
  }

  canvas.addEventListener("mousemove", (event) => {
    if (!drawn) return;
    const row = find(event);
    canvas.style.cursor = row ? "pointer" : "";
    if (row) {
      const lines = trialLines(row, drawn.state, C, description.truth, colourOf(slotOf(row)));
      tooltip.show(event, [...lines, { text: `generation ${row[C.generation]} of the family of ${row[C.family]}` }]);
    } else if (event.offsetY <= SHARES.bottom && event.offsetX >= ORDER_LEFT) showShares(event);
    else tooltip.hide();
  });
  canvas.addEventListener("mouseleave", tooltip.hide);
  canvas.addEventListener("click", (event) => {
    const row = find(event);
    choose(row?.[C.number] ?? null);
    if (!row && drawn && event.offsetX >= ORDER_LEFT) go(drawn.scale.at(event.offsetX));
  });
  return draw;
}
