// The objective against the order of the trials: a dot each, the best so far, hurdles, failures, and the chosen one's descent.

import { DECADES, powersOfTen, roundTicks, widened } from "./axis.js";
import { cursorLine, sharp } from "./canvas.js";
import { make } from "./elements.js";
import { digits, scaleOf } from "./numbers.js";
import { drawOrder, ORDER_LEFT, ORDER_RIGHT, orderScale } from "./order.js";
import { columnsByName } from "./stream.js";
import { ancestryOf, isStopped } from "./trial_queries.js";
import { trialLines } from "./words.js";
/** @import { Choose, Columns, DrawTrials, Go, Objective, OrderScale, Pen, Point, Row, Theme, Tooltip, TrialsState, Truth } from "./types.js" */

export const MODES = { fitness: "", all: ", all", regret: "true regret, log" };

/**
 * The mark of an origin, told apart by shape as well as colour: disc, square, triangle, diamond.
 * @param {Path2D} path
 * @param {number} origin
 * @param {number} x
 * @param {number} y
 * @param {number} half
 */
export function outline(path, origin, x, y, half) {
  if (origin % 4 === 0) {
    path.moveTo(x + half, y);
    path.arc(x, y, half, 0, 7);
  } else if (origin % 4 === 1) path.rect(x - 0.9 * half, y - 0.9 * half, 1.8 * half, 1.8 * half);
  else {
    const corners = origin % 4 === 2 ? [[0, -1.2], [1.2, 1], [-1.2, 1]] : [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]];
    corners.forEach(([dx, dy], i) => (i ? path.lineTo(x + dx * half, y + dy * half) : path.moveTo(x + dx * half, y + dy * half)));
    path.closePath();
  }
}

/**
 * A chart of all trials; a menu changes its vertical axis to the true regret.
 * @param {HTMLElement} parent
 * @param {Columns} C
 * @param {Truth | null} truth
 * @param {Tooltip} tooltip
 * @param {Choose} choose
 * @param {Go} go
 * @returns {DrawTrials}
 */
export function fitnessView(parent, C, truth, tooltip, choose, go) {
  const head = make("div", "naslab-head", parent);
  make("h4", "", head, "trials");
  const legend = make("div", "naslab-legend", head);
  const select = make("select", "naslab-select", head);
  select.setAttribute("aria-label", "vertical axis");
  for (const [value, text] of Object.entries(MODES)) if (truth || value !== "regret") make("option", "", select, text).value = value;
  const canvas = make("canvas", "naslab-fitness", parent);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "objective against the order of the evaluations");
  const HEIGHT = 320;
  const frame = { top: 10, bottom: HEIGHT - 36 };
  /** @type {{state: TrialsState, rows: Row[], scale: OrderScale, down: (value: number) => number, theme: Theme}} */
  let drawn;
  let named = "";
  select.addEventListener("change", () => choose(undefined));

  // Of a fitness more is better; `sign` and unit give the objective back.
  /** @type {Objective} */
  let objective = { name: "fitness", title: "fitness", sign: 1, unit: "" };
  /** @type {(fitness: number) => number} */
  const own = (fitness) => objective.sign * scaleOf(objective.unit) * fitness;
  const regretted = () => select.value === "regret";
  /** @type {(row: Row) => number} */
  const worthOf = (row) => (regretted() ? row[C.regret] : own(row[C.fitness]));

  /** @type {(found: Objective | undefined) => void} */
  function name(found) {
    objective = found || objective;
    for (const option of select.options) if (option.value !== "regret") option.textContent = objective.title + MODES[/** @type {keyof typeof MODES} */ (option.value)];
  }

  // Unless "all" is chosen, the worst 5 % are clamped to the end of the axis.
  /** @type {(rows: Row[]) => {down: (value: number) => number, ticks: number[]}} */
  function axis(rows) {
    const values = rows.map(worthOf).filter(Number.isFinite).sort((a, b) => a - b);
    const height = frame.bottom - frame.top;
    /** @type {(share: number) => number} */
    const clamp = (share) => frame.bottom - height * Math.min(1, Math.max(0, share));
    if (select.value === "regret") {
      const positive = values.filter((value) => value > 0);
      const low = Math.floor(Math.log10(positive[0] || 0.1)) - 0.3;
      const high = Math.max(low + 1, Math.ceil(Math.log10(positive[positive.length - 1] || 1)));
      const powers = powersOfTen(10 ** (low + 0.3), 10 ** high);
      return { down: (value) => clamp(value > 0 ? (Math.log10(value) - low) / (high - low) : 0), ticks: [0, ...powers] };
    }
    const left = select.value === "all" ? 0 : Math.floor(values.length * 0.05);
    let [low, high] = !values.length ? [0, 1] : objective.sign > 0 ? [values[left], values[values.length - 1]] : [values[0], values[values.length - 1 - left]];
    for (const { values: line } of hurdleLines()) for (const [, value] of line) [low, high] = [Math.min(low, value), Math.max(high, value)];
    if (values[0] > 0 && low > 0 && Math.log10(high) - Math.log10(values[0]) > DECADES) {
      const [least, most] = widened(Math.log10(Math.min(low, values[0])), Math.log10(high), 0.05);
      return { down: (value) => clamp(value > 0 ? (Math.log10(value) - least) / (most - least) : 0), ticks: powersOfTen(values[0], high) };
    }
    [low, high] = widened(low, high, 0.05);
    return { down: (value) => clamp((value - low) / (high - low)), ticks: roundTicks(low, high, 6) };
  }

  /** @type {{values: [step: number, value: number][]}[]} */
  let hurdles = [];
  const hurdleLines = () => hurdles;

  // The values of each hurdle, from the step on at which it was first set.
  /** @type {(state: TrialsState) => {values: [step: number, value: number][]}[]} */
  function readHurdles(state) {
    const table = state.tables.details;
    const place = table && columnsByName(table.columns).get("hurdles");
    if (!place) return [];
    return Array.from({ length: place.width }, (_, i) => ({
      values: table.rows.map((row) => /** @type {[number, number]} */ ([row[0], own(row[place.start + i])])).filter(([, value]) => Number.isFinite(value)),
    }));
  }

  /** @type {(state: TrialsState, theme: Theme) => void} */
  function drawLegend(state, theme) {
    const marks = [
      ...state.status.origins.map(([name, light, dark], i) => [name, theme.dark ? dark : light, `shape-${i % 4}`]),
      ...(hurdles.length ? [["hurdle", theme.text, "line"]] : []),
      ...(state.status.failed ? [["failed", "#d1382c", "cross"]] : []),
      [state.status.derived ? "derived so far, judged again" : "best so far", theme.text, "best"],
    ];
    if (named === String(marks)) return;
    named = String(marks);
    legend.replaceChildren();
    for (const [name, colour, kind] of marks) {
      const chip = make("span", "", legend);
      const mark = make("i", kind && `naslab-mark-${kind}`, chip);
      if (kind === "cross") mark.textContent = "×";
      mark.style[kind === "cross" ? "color" : "background"] = colour;
      make("span", "", chip, name);
    }
  }

  /** @type {DrawTrials} */
  function draw(state, theme, chosen) {
    const width = canvas.clientWidth || 700;
    const pen = sharp(canvas, width, HEIGHT);
    const regret = regretted();
    name(state.status.objective);
    hurdles = regret ? [] : readHurdles(state);
    const scale = orderScale(state, width);
    const { down, ticks } = axis(state.trials);
    const rows = state.trials;
    drawn = { state, theme, scale, down, rows };
    drawLegend(state, theme);
    pen.font = `10px ${theme.font}`;
    pen.fillStyle = pen.strokeStyle = theme.text;
    if (state.status.empty) drawWords(pen, state.status.empty, width);
    for (const tick of state.status.empty ? [] : ticks) {
      pen.globalAlpha = 0.12;
      pen.fillRect(ORDER_LEFT, Math.round(down(tick)), width - ORDER_LEFT - ORDER_RIGHT, 1);
      pen.globalAlpha = 0.65;
      pen.textAlign = "right";
      pen.fillText(digits(tick, 4), ORDER_LEFT - 6, down(tick) + 3);
    }
    drawOrder(pen, scale, HEIGHT - 4, "evaluation");
    drawPromotions(pen);
    drawDots(pen, chosen);
    drawHurdles(pen);
    drawBest(pen, regret);
    if (typeof state.at === "number") cursorLine(pen, scale.across(state.at), frame.top, frame.bottom, theme);
    if (chosen !== null) drawDescent(pen, ancestryOf(state, chosen, C), chosen);
    pen.globalAlpha = 1;
    canvas.dataset.step = String(state.status.step);
    canvas.dataset.trials = String(rows.length);
    canvas.dataset.hurdles = String(hurdles.length);
    canvas.dataset.stopped = String(rows.filter((row) => isStopped(row, state, C)).length);
  }

  // Without any fitness, the reason stands in place of the axis.
  /** @type {(pen: Pen, text: string, width: number) => void} */
  function drawWords(pen, text, width) {
    pen.globalAlpha = 0.9;
    pen.textAlign = "left";
    const lines = [""];
    for (const word of text.split(" ")) {
      const longer = `${lines[lines.length - 1]} ${word}`.trim();
      if (pen.measureText(longer).width <= width - ORDER_LEFT - ORDER_RIGHT) lines[lines.length - 1] = longer;
      else lines.push(word);
    }
    lines.forEach((line, i) => pen.fillText(line, ORDER_LEFT, frame.top + 14 + 15 * i));
  }

  /** @type {(row: Row) => string} */
  const hueOf = (row) => drawn.state.status.origins[row[C.origin]]?.[drawn.theme.dark ? 2 : 1] || "#888888";

  /** @type {(pen: Pen) => void} */
  function drawPromotions(pen) {
    const { state, scale, down } = drawn;
    pen.lineWidth = 1;
    pen.globalAlpha = 0.2;
    pen.beginPath();
    for (const [key, earlier] of state.before) {
      const row = state.byNumber.get(key);
      if (!row || !Number.isFinite(worthOf(row)) || !Number.isFinite(worthOf(earlier))) continue;
      pen.moveTo(scale.across(earlier[C.step]), down(worthOf(earlier)));
      pen.lineTo(scale.across(row[C.step]), down(worthOf(row)));
    }
    pen.stroke();
  }

  // One path for each colour and shade: changing the pen is what costs time.
  /** @type {(pen: Pen, chosen: number | null) => void} */
  function drawDots(pen, chosen) {
    const { state, scale, down, rows } = drawn;
    const groups = new Map();
    const size = rows.length > 1500 ? 3 : rows.length > 400 ? 4 : 5;
    const failed = new Path2D();
    for (const row of rows) {
      const x = scale.across(row[C.step]);
      if (Number.isNaN(row[C.fitness])) {
        failed.moveTo(x - 3, frame.bottom + 6);
        failed.lineTo(x + 3, frame.bottom + 12);
        failed.moveTo(x + 3, frame.bottom + 6);
        failed.lineTo(x - 3, frame.bottom + 12);
        continue;
      }
      if (!Number.isFinite(worthOf(row))) continue;
      const key = 2 * row[C.origin] + Number(isStopped(row, state, C));
      if (!groups.has(key)) groups.set(key, { path: new Path2D(), colour: hueOf(row), stopped: key % 2 });
      const y = down(worthOf(row));
      const { path } = groups.get(key);
      if (size < 4) path.rect(x - 1.5, y - 1.5, 3, 3);
      else outline(path, row[C.origin], x, y, size / 2);
    }
    for (const { path, colour, stopped } of groups.values()) {
      pen.fillStyle = colour;
      pen.globalAlpha = (stopped ? 0.28 : 0.8) * (chosen === null ? 1 : 0.4);
      pen.fill(path);
    }
    pen.strokeStyle = "#d1382c";
    pen.lineWidth = 1.4;
    pen.globalAlpha = 0.85;
    pen.stroke(failed);
  }

  /** @type {(pen: Pen) => void} */
  function drawHurdles(pen) {
    const { scale, down, theme } = drawn;
    pen.strokeStyle = pen.fillStyle = theme.text;
    pen.lineWidth = 2;
    hurdles.forEach(({ values }, i) => {
      if (!values.length) return;
      pen.globalAlpha = 0.9;
      pen.beginPath();
      for (const [step, value] of values) pen.lineTo(scale.across(step), down(value));
      pen.lineTo(scale.across(scale.last), down(values[values.length - 1][1]));
      pen.stroke();
      pen.globalAlpha = 0.75;
      pen.fillText(`hurdle ${i + 1}`, scale.across(values[0][0]) + 3, down(values[0][1]) - 4);
    });
  }

  /** @type {(pen: Pen, regret: boolean) => void} */
  function drawBest(pen, regret) {
    const { scale, down, rows, state, theme } = drawn;
    /** @type {(row: Row) => number} */
    const levelOf = (row) => (regret ? row[C.best_regret] : own(row[C.best]));
    pen.strokeStyle = theme.text;
    pen.lineWidth = 1.4;
    pen.globalAlpha = 0.75;
    pen.setLineDash([5, 2]);
    pen.beginPath();
    let level = null;
    for (const row of rows) {
      const value = levelOf(row);
      if (!Number.isFinite(value) || value === level) continue;
      const x = scale.across(row[C.step]);
      level === null ? pen.moveTo(x, down(value)) : pen.lineTo(x, down(level));
      level = value;
      pen.lineTo(x, down(level));
    }
    const best = state.status.best;
    const now = best ? (regret ? best.best_regret : own(best.best)) : NaN;
    if (level !== null) pen.lineTo(scale.across(scale.last), down(Number.isFinite(now) ? now : level));
    pen.stroke();
    pen.setLineDash([]);
  }

  /** @type {(pen: Pen, line: Row[], chosen: number | null | undefined) => void} */
  function drawDescent(pen, line, chosen) {
    const { scale, down, theme } = drawn;
    const shown = new Map(line.filter((row) => Number.isFinite(worthOf(row))).map((row) => [row[C.number], row]));
    pen.strokeStyle = theme.text;
    pen.lineWidth = 1.6;
    pen.globalAlpha = 0.9;
    pen.beginPath();
    for (const row of shown.values())
      for (const before of [shown.get(row[C.parent]), shown.get(row[C.second_parent])]) {
        if (!before) continue;
        pen.moveTo(scale.across(before[C.step]), down(worthOf(before)));
        pen.lineTo(scale.across(row[C.step]), down(worthOf(row)));
      }
    pen.stroke();
    for (const row of shown.values()) {
      pen.globalAlpha = 1;
      pen.fillStyle = hueOf(row);
      pen.lineWidth = row[C.number] === chosen ? 2.5 : 1.2;
      pen.beginPath();
      pen.arc(scale.across(row[C.step]), down(worthOf(row)), row[C.number] === chosen ? 6 : 4, 0, 7);
      pen.fill();
      pen.stroke();
    }
    canvas.dataset.ancestry = line.map((row) => row[C.number]).join(" ");
  }

  // The trial nearest to the pointer, at most 12 pixels away; failures stand below the bottom line.
  /** @type {(event: Point) => Row | null} */
  function find({ offsetX: x, offsetY: y }) {
    let nearest = null;
    let least = 12 ** 2;
    for (const row of drawn?.rows || []) {
      const worth = worthOf(row);
      const height = Number.isNaN(row[C.fitness]) ? frame.bottom + 9 : drawn.down(worth);
      const distance = (drawn.scale.across(row[C.step]) - x) ** 2 + (height - y) ** 2;
      if (distance < least) [nearest, least] = [row, distance];
    }
    return nearest;
  }

  canvas.addEventListener("mousemove", (event) => {
    const row = find(event);
    canvas.style.cursor = row ? "pointer" : "";
    if (row) tooltip.show(event, trialLines(row, drawn.state, C, truth, hueOf(row)));
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
