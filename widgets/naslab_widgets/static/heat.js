// What a controller has learnt: its own figures as curves, and what it would draw each decision with as heat maps.

import { curvesView } from "./curves.js";
import { cursorLine, rowsUntil } from "./moment.js";
import { make, number, sharp } from "./shared.js";
import { ORDER_RIGHT, places } from "./stream.js";

export const MOST_LINES = 96; // options shown at once
export const Q_VALUES = "q/"; // before the name of the choice

// What the metrics of the search are is known beforehand (`known`: their charts); of the searcher's own figures a number
// is a chart, and a list a chart of its first few; neither, until it has changed. Hurdles and Q-values are
// shown elsewhere. Of a list with a place for each rung a line is called by the epochs that lead there.
export function chartsOf(table, known) {
  const found = table ? places(table.columns) : new Map();
  const metrics = Object.fromEntries(known.flatMap(({ series }) => series).filter(([name]) => found.has(name)).map(([name]) => [name, found.get(name).start]));
  const charts = known.map((chart) => ({ ...chart, series: chart.series.filter(([name]) => name in metrics) })).filter(({ series }) => series.length);
  for (const [name, { start, width }] of found) {
    if (name in metrics || name === "hurdles" || name.startsWith(Q_VALUES)) continue;
    const columns = Array.from({ length: Math.min(width, 4) }, (_, i) => start + i);
    if (columns.every((column) => table.rows.every((row) => Object.is(row[column], table.rows[0][column])))) continue;
    const rungs = found.get("epochs");
    const epochs = (i) => table.rows[table.rows.length - 1][rungs.start + i];
    const line = (i) => (rungs?.width === width ? `${epochs(i)} ${epochs(i) === 1 ? "epoch" : "epochs"}` : String(i + 1));
    columns.forEach((column, i) => (metrics[`${name}/${i}`] = column));
    charts.push({ title: name.replaceAll("_", " "), unit: "", direction: null, series: columns.map((_, i) => [`${name}/${i}`, columns.length > 1 ? line(i) : name]) });
  }
  return { charts, metrics };
}

export function figuresView(parent, known, tooltip, go) {
  make("h4", "", parent, "the searcher's own figures");
  const box = make("div", "", parent);
  let named = "";
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
    draw({ rows: table?.rows || [], status: state.status, at: state.at }, theme);
  };
}

// A probability as a share of the scale: 0 is 0, 1 is 1, and that of an option while nothing is learnt, 1 / count, the
// middle, so that decisions between two and between six are equally strong. (`strength` of the still pictures.)
export const strengthOf = (probability, count) => probability ** (1 / Math.log2(Math.max(count, 2)));

// Of a scale [[stop, "#rrggbb"], ...] the 256 colours [red, green, blue].
export function coloursOf(scale) {
  const stops = scale.map(([stop, hex]) => [stop, [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16))]);
  return Array.from({ length: 256 }, (_, i) => {
    const next = Math.max(1, stops.findIndex(([stop]) => stop >= i / 255));
    const [[low, from], [high, to]] = [stops[next - 1], stops[next]];
    return from.map((part, k) => Math.round(part + ((i / 255 - low) / (high - low)) * (to[k] - part)));
  });
}

export function decisionsView(parent, { scale, sections }, tooltip, go, open) {
  const colours = coloursOf(scale);
  const opens = Boolean(sections.decision);
  const head = make("div", "naslab-head", parent);
  make("h4", "", head, "decisions");
  const note = make("span", "naslab-facts naslab-heat-key", head);
  const [least, ramp, most] = ["span", "i", "span"].map((tag) => make(tag, "", note));
  ramp.style.background = `linear-gradient(90deg, ${scale.map(([stop, hex]) => `${hex} ${100 * stop}%`).join(", ")})`;
  const select = make("select", "naslab-select", head);
  select.setAttribute("aria-label", "which decision");
  const box = make("div", "naslab-heat-box", parent);
  const canvas = make("canvas", "naslab-heat", box);
  const rings = make("div", "", box);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "probability of each option over time");
  const LEFT = 112;
  let named = null;
  let drawn = null;
  let questions = {};
  let asked = "";
  const questionOf = (name) => questions[name.replace(Q_VALUES, "")] ?? name;
  select.addEventListener("change", () => window.requestAnimationFrame(() => drawn && draw(drawn.state, drawn.theme)));

  // Every decision there is: its probabilities, and its Q-values.
  function decisions(state) {
    const found = [];
    for (const kind of ["policy", "details"]) {
      const table = state.tables[kind];
      if (!table) continue;
      for (const [name, { start, width }] of places(table.columns))
        if (kind === "policy" || name.startsWith(Q_VALUES)) found.push({ key: `${kind}=${name}`, name, kind, table, start, width });
    }
    return found;
  }

  // All of a kind together, where there is room, and each alone.
  function offer(found) {
    const keys = found.map(({ key }) => key);
    const now = JSON.stringify([keys, questions]);
    if (named === now) return;
    named = now;
    const before = select.value;
    select.replaceChildren();
    for (const [kind, text] of [["policy", "all probabilities"], ["details", "all Q-values"]]) {
      const widths = found.filter((each) => each.kind === kind).map(({ width }) => width);
      if (widths.length > 1 && widths.reduce((a, b) => a + b) <= MOST_LINES) make("option", "", select, text).value = kind;
    }
    for (const { key, name } of found) make("option", "", select, questionOf(name)).value = key;
    if ([...select.options].some(({ value }) => value === before)) select.value = before;
    select.style.display = found.length > 1 ? "" : "none";
  }

  function draw(state, theme) {
    const found = decisions(state);
    parent.style.display = found.length ? "" : "none";
    if (!found.length) return;
    questions = state.questions;
    offer(found);
    const shown = found.filter(({ key, kind }) => [key, kind].includes(select.value));
    const range = limits(shown);
    const width = canvas.clientWidth || 900;
    const columns = Math.min(shown.length, width > 1050 ? 3 : width > 600 ? 2 : 1);
    const line = shown.length > 1 ? 12 : 18;
    const room = width / columns - LEFT - ORDER_RIGHT;
    const bands = [];
    let [top, height] = [16, 0];
    shown.forEach((decision, i) => {
      if (i && i % columns === 0) [top, height] = [top + height + 24, 0];
      height = Math.max(height, decision.width * line);
      bands.push({ ...decision, left: (i % columns) * (width / columns) + LEFT, top, line, room, names: state.options[decision.name.replace(Q_VALUES, "")] || [] });
    });
    const pen = sharp(canvas, width, top + height + 18);
    drawn = { state, theme, bands };
    pen.imageSmoothingEnabled = false;
    for (const band of bands) drawBand(pen, band, range, theme);
    for (const { table, left, top, line, room, width: count } of (state.at ?? null) === null ? [] : bands) {
      const until = rowsUntil(table.rows, state.at).length;
      if (until) cursorLine(pen, left + (room * (until - 0.5)) / table.rows.length, top, top + count * line, theme);
    }
    const rows = shown[0].table.rows;
    pen.font = `10px ${theme.font}`;
    pen.globalAlpha = 0.65;
    pen.fillStyle = theme.text;
    for (const left of rows.length ? new Set(bands.map((band) => band.left)) : []) {
      pen.textAlign = "left";
      pen.fillText(`${state.status.unit} ${rows[0][0].toLocaleString("en")}`, left, top + height + 12);
      pen.textAlign = "right";
      pen.fillText(rows[rows.length - 1][0].toLocaleString("en"), left + room, top + height + 12);
    }
    pen.textAlign = "left";
    pen.globalAlpha = 1;
    const learnt = shown[0].kind === "policy";
    least.textContent = `${learnt ? "probability" : "value"} ${number(range[0])}`;
    most.textContent = learnt ? "1; the middle: as likely as any other option" : number(range[1]);
    if (opens) ringAll(bands);
    canvas.dataset.decisions = found.length;
    canvas.dataset.step = rows.length ? rows[rows.length - 1][0] : 0;
  }

  // Each decision can be reached by keys: one stop for all, from which the arrows lead to the others.
  function ringAll(bands) {
    const now = JSON.stringify(bands.map(({ key, name, left, top, room, width }) => [key, questionOf(name), left, top, room, width]));
    if (asked === now) return;
    asked = now;
    const had = rings.contains(document.activeElement) ? [...rings.children].indexOf(document.activeElement) : -1;
    rings.replaceChildren();
    bands.forEach(({ name, left, top, line, room, width: count }, i) => {
      const ring = make("div", "naslab-heat-ring", rings);
      Object.assign(ring.style, { left: `${left - LEFT}px`, top: `${top - 15}px`, width: `${LEFT + room}px`, height: `${15 + count * line}px` });
      ring.tabIndex = i === Math.max(0, had) ? 0 : -1;
      ring.setAttribute("role", "button");
      ring.setAttribute("aria-label", `${questionOf(name)}: how it was learnt`);
      ring.dataset.decision = name.replace(Q_VALUES, "");
    });
    if (had >= 0) rings.children[Math.min(had, rings.children.length - 1)]?.focus();
  }

  rings.addEventListener("keydown", (event) => {
    const at = [...rings.children].indexOf(event.target);
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (by === undefined && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    if (by === undefined) return open(event.target.dataset.decision);
    const next = rings.children[(at + by + rings.children.length) % rings.children.length];
    [event.target.tabIndex, next.tabIndex] = [-1, 0];
    next.focus();
  });

  // Probabilities from 0 to 1, values from the least to the greatest; the same for all that are shown together.
  /** @returns {[number, number]} */
  function limits(shown) {
    if (shown[0].kind === "policy") return [0, 1];
    let [low, high] = [Infinity, -Infinity];
    for (const { table, start, width } of shown)
      for (const row of table.rows)
        for (let i = start; i < start + width; i++) {
          if (row[i] < low) low = row[i];
          if (row[i] > high) high = row[i];
        }
    return high > low ? [low, high] : [Number.isFinite(low) ? low : 0, Number.isFinite(low) ? low + 1 : 1];
  }

  function drawBand(pen, { name, kind, table, start, width: count, left, top, line, room, names }, [low, high], theme) {
    const rows = table.rows;
    const image = new ImageData(Math.max(1, rows.length), count);
    rows.forEach((row, t) => {
      for (let i = 0; i < count; i++) {
        const value = row[start + i];
        if (!Number.isFinite(value)) continue;
        const share = kind === "policy" ? strengthOf(value, count) : (value - low) / (high - low);
        image.data.set([...colours[Math.round(255 * Math.min(1, Math.max(0, share)))], 255], 4 * (i * rows.length + t));
      }
    });
    const still = new OffscreenCanvas(image.width, count);
    still.getContext("2d").putImageData(image, 0, 0);
    pen.globalAlpha = 1;
    pen.drawImage(still, left, top, room, count * line - 1);
    pen.fillStyle = theme.text;
    pen.font = `600 10px ${theme.font}`;
    pen.globalAlpha = 0.8;
    pen.fillText(shorten(pen, questionOf(name), room), left, top - 4);
    pen.font = `10px ${theme.font}`;
    pen.textAlign = "right";
    pen.globalAlpha = 0.75;
    for (let i = 0; i < count; i++) pen.fillText(shorten(pen, names[i] ?? `option ${i + 1}`, LEFT - 10), left - 6, top + i * line + line / 2 + 3);
    pen.textAlign = "left";
  }

  function shorten(pen, text, room) {
    if (pen.measureText(text).width <= room) return text;
    let end = text.length;
    while (end > 1 && pen.measureText(`${text.slice(0, end)}…`).width > room) end -= 1;
    return `${text.slice(0, end)}…`;
  }

  // The decision under the pointer, and the place of the row; null outside.
  function find({ offsetX: x, offsetY: y }) {
    const band = drawn?.bands.find(({ left, room, top, line, width }) => x >= left - LEFT && x <= left + room && y >= top - 14 && y < top + width * line);
    if (!band || !band.table.rows.length) return null;
    const { rows } = band.table;
    return { band, rows, at: Math.min(rows.length - 1, Math.max(0, Math.floor(((x - band.left) / band.room) * rows.length))) };
  }

  canvas.addEventListener("click", (event) => {
    const found = find(event);
    if (found) open(found.band.name.replace(Q_VALUES, ""));
    if (found && event.offsetX >= found.band.left) go(found.rows[found.at][0]);
  });
  canvas.addEventListener("mousemove", (event) => {
    const found = find(event);
    if (!found) return tooltip.hide();
    const { band, rows, at } = found;
    const under = Math.floor((event.offsetY - band.top) / band.line);
    const values = Array.from(rows[at].subarray(band.start, band.start + band.width), (value, i) => [value, band.names[i] ?? `option ${i + 1}`, i]);
    const nearby = values.length <= 16 ? values : values.filter(([, , i]) => Math.abs(i - under) <= 7);
    tooltip.show(event, [
      { text: `${questionOf(band.name)}  ·  ${drawn.state.status.unit} ${rows[at][0]}`, strong: true },
      ...nearby.map(([value, name, i]) => ({ text: `${number(value)}  ${name}`, strong: i === under })),
    ]);
  });
  canvas.addEventListener("mouseleave", tooltip.hide);
  return draw;
}
