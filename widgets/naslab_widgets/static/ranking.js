// What the shared weights' ranking is worth: its figures over the steps, the true worth of what would be derived, and
// the scores of the moment, or of the ranking under the pointer, against the truth.

import { bus } from "./bus.js";
import { cursorLine, momentOf, rowsUntil } from "./moment.js";
import { digits, keepKeys, make, makeTooltip, nearestRow, number, sharp, talk, unpack, widened } from "./shared.js";
import { keepDrawn } from "./status.js";

function render({ model, el }) {
  const about = model.get("description");
  const root = make("div", "naslab naslab-ranking", el);
  keepKeys(root);
  const card = make("section", "naslab-card", root);
  const headline = make("h4", "", card);
  const story = make("div", "naslab-ranking-story", card);
  const grid = make("div", "naslab-ranking-charts", card);
  const tooltip = makeTooltip(root);
  const state = { rows: [], path: [], status: { end: 0, total: null, headline: "", story: "", turn: null } };
  let shown = null; // the step of the ranking under the pointer
  const cursor = bus(about.panel);
  const go = (step) => cursor.set({ at: momentOf(step, state.status.end) });

  const charts = [
    figuresChart(grid, about, tooltip, (step) => ((shown = step), page.redraw()), go),
    derivedChart(grid, about, tooltip, go),
    scatterChart(grid, about, tooltip),
  ];
  const page = keepDrawn(root, (theme) => {
    headline.textContent = state.status.headline;
    story.textContent = state.status.story;
    const { at } = cursor;
    const row = state.rows.find(([step]) => step === shown) || rowsUntil(state.rows, at).at(-1);
    for (const draw of charts) draw({ ...state, at }, row, theme);
    root.dataset.at = at ?? "now";
    wire.drawn();
  });
  const opens = (message) => message.type === "ranking"; // every message is whole, but for rankings that are known
  const wire = talk(model, opens, (message, buffers) => {
    state.path = unpack(buffers[0], 4);
    if (message.rows) state.rows = unpack(buffers[1], about.scores + about.truth.length);
    state.status = message.status;
    page.redraw();
  });
  const deaf = cursor.on(page.redraw);
  return () => {
    deaf();
    wire.close();
    page.close();
  };
}

// --- a chart with its frame ---------------------------------------------------------------------

export const CHART_HEIGHT = 214;

// As much of a text as there is room for.
export function fitted(pen, text, room) {
  if (pen.measureText(text).width <= room) return text;
  let end = text.length;
  while (end > 1 && pen.measureText(`${text.slice(0, end)}…`).width > room) end -= 1;
  return `${text.slice(0, end).trimEnd()}…`;
}

// Draws title (if it is two texts, the second is never cut), grid and the ends of the axis across; gives back data -> pixels, and the pen clipped to nothing.
export function axes(canvas, theme, { title, across, up, marks, label }) {
  const width = canvas.clientWidth || 300;
  const pen = sharp(canvas, width, CHART_HEIGHT);
  const left = 38;
  const right = width - 10;
  const top = 28;
  const bottom = CHART_HEIGHT - 38;
  const x = (value) => left + ((right - left) * (value - across[0])) / (across[1] - across[0] || 1);
  const y = (value) => top + ((bottom - top) * (up[1] - value)) / (up[1] - up[0] || 1);
  pen.fillStyle = pen.strokeStyle = theme.text;
  pen.font = `600 11px ${theme.font}`;
  const [head, tail = ""] = [].concat(title);
  pen.fillText(fitted(pen, head, right - left - pen.measureText(tail).width) + tail, left, 14);
  pen.font = `10px ${theme.font}`;
  pen.lineWidth = 1;
  for (const value of marks) {
    pen.globalAlpha = 0.14;
    pen.fillRect(left, y(value) - 0.5, right - left, 1);
    pen.globalAlpha = 0.65;
    pen.textAlign = "right";
    pen.fillText(digits(value, 4), left - 5, y(value) + 3.5);
  }
  pen.globalAlpha = 0.65;
  pen.textAlign = "left";
  pen.fillText(across[0].toLocaleString("en"), left, bottom + 13);
  pen.textAlign = "right";
  pen.fillText(across[1].toLocaleString("en"), right, bottom + 13);
  pen.textAlign = "center";
  pen.fillText(label, (left + right) / 2, bottom + 13);
  pen.textAlign = "left";
  pen.globalAlpha = 1;
  return { pen, x, y, left, right, top, bottom };
}

// Round marks from low to high, about four; the ends are the outermost.
export function roundMarks(least, most) {
  const [low, high] = widened(least, most, 0);
  const rough = (high - low) / 4;
  const scale = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * scale).find((m) => m >= rough * (1 - 1e-9));
  if (!(step > 0)) return [low, high];
  const first = Math.floor(low / step);
  const last = Math.max(Math.ceil(high / step), first + 1);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

export function trace(pen, points) {
  pen.beginPath();
  let open = false;
  for (const [a, b] of points) {
    if (Number.isFinite(b)) open ? pen.lineTo(a, b) : pen.moveTo(a, b);
    open = Number.isFinite(b);
  }
  pen.stroke();
}

export function diamond(pen, x, y, size) {
  pen.beginPath();
  pen.moveTo(x, y - size);
  pen.lineTo(x + size, y);
  pen.lineTo(x, y + size);
  pen.lineTo(x - size, y);
  pen.closePath();
  pen.fill();
  pen.globalAlpha = 1;
  pen.stroke();
}

export function chartCanvas(parent, name, label) {
  const canvas = make("canvas", `naslab-ranking-${name}`, make("div", "", parent));
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  return canvas;
}

// --- tau, rho, overlap over the steps -----------------------------------------------------------

export const DASHES = [[], [6, 3], [2, 3]];

export function figuresChart(parent, { lines, columns, best }, tooltip, show, go) {
  const canvas = chartCanvas(parent, "figures", "Kendall's tau, Spearman's rho and top-k overlap over the steps");
  let drawn = null;

  function draw({ rows, status, at: moment = null }, row, theme) {
    const colour = (line) => line.colours[theme.dark ? 1 : 0];
    const ends = lines.flatMap(({ figure }) => rows.flatMap((r) => [r[columns[figure]], figure === "kendall" ? r[columns[figure] + 1] : NaN]));
    const low = Math.max(-1, Math.min(-0.2, ...ends.filter(Number.isFinite)));
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
    canvas.dataset.step = rows.length ? rows[rows.length - 1][0] : 0;
    canvas.dataset.shown = row ? row[0] : 0;
  }

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
    const told = (place) => `${number(row[place])}` + (Number.isFinite(row[place]) ? `   (${number(row[place + 1])} to ${number(row[place + 2])})` : "");
    tooltip.show(event, [
      { text: `step ${row[0]}`, strong: true },
      ...lines.map((line) => ({ text: `${line.label}  ${told(columns[line.figure])}`, colour: line.colours[theme.dark ? 1 : 0] })),
      { text: `regret of the best by score  ${told(columns.regret)}` },
      { text: `derived: truth ${number(row[best + 1])}, rank ${number(row[best + 2])}` },
    ]);
  });
  canvas.addEventListener("mouseleave", () => {
    show(null);
    tooltip.hide();
  });
  return draw;
}

// --- the true worth of what would be derived ----------------------------------------------------

export function derivedChart(parent, { derived, optimum, size }, tooltip, go) {
  const canvas = chartCanvas(parent, "derived", "true worth of the derived architecture over the steps");
  let drawn = null;

  function draw({ path, status, at: moment = null }, _, theme) {
    const seen = path.map((p) => p[1]).filter(Number.isFinite);
    const marks = roundMarks(Math.min(optimum - 1, ...seen), optimum);
    const end = Math.max(2, status.end || 0);
    const up = [marks[0], marks[marks.length - 1]];
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
    canvas.dataset.step = status.end || 0;
    canvas.dataset.turn = status.turn ? status.turn.step : "";
    canvas.dataset.truth = path.length ? path[path.length - 1][1] : "";
  }

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

// --- scores against the truth -------------------------------------------------------------------

export function scatterChart(parent, { scores, best, truth, ranks, names, size, derived, lines, score: told }, tooltip) {
  const canvas = chartCanvas(parent, "scatter", `${told.title} against the true rank`);
  let dots = [];

  function draw(_, row, theme) {
    const own = row ? Array.from(row.subarray(scores), (value) => told.scale * value) : [];
    const known = [...own, row ? told.scale * row[best] : 0].filter(Number.isFinite);
    const marks = roundMarks(Math.min(0, ...known), Math.max(0.1 * Math.abs(told.scale), ...known));
    const title = row ? [told.title, `, step ${row[0]}`] : told.title;
    const up = [marks[0], marks[marks.length - 1]];
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
      const score = told.scale * raw;
      diamond(pen, x(rank), y(score), 7);
      dots.push({ x: x(rank), y: y(score), name: "what would be derived", text: `score ${number(score)}, truth ${number(worth)}, rank ${rank.toLocaleString("en")}` });
    }
    pen.fillStyle = theme.text;
    pen.fillText("what would be derived", left + 16, CHART_HEIGHT - 5);
    canvas.dataset.dots = dots.length;
  }

  canvas.addEventListener("mousemove", (event) => {
    const far = (dot) => Math.hypot(dot.x - event.offsetX, dot.y - event.offsetY);
    const nearest = dots.reduce((a, b) => (a && far(a) <= far(b) ? a : b), null);
    if (!nearest || far(nearest) > 12) return tooltip.hide();
    tooltip.show(event, [{ text: nearest.name, strong: true }, { text: nearest.text }]);
  });
  canvas.addEventListener("mouseleave", tooltip.hide);
  return draw;
}

export default { render };
