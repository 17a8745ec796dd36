// What a controller has learnt: the probabilities of each decision over the steps, as heat maps.

import { cursorLine, fitted, sharp } from "./canvas.js";
import { Q_VALUES } from "./details.js";
import { make } from "./elements.js";
import { number } from "./numbers.js";
import { ORDER_RIGHT } from "./order.js";
import { rowsUntil } from "./rows.js";
import { columnsByName } from "./stream.js";
/** @import { DrawTrials, Go, Pen, Point, Row, Table, Theme, Tooltip, TrialsDescription, TrialsState } from "./types.js" */

/**
 * The columns of one decision in a table: its probabilities, or its values.
 * @typedef {{key: string, name: string, kind: string, table: Table, start: number, width: number}} Decision
 */
/** @typedef {Decision & {left: number, top: number, line: number, room: number, names: string[]}} Band A decision where it is drawn. */

export const MOST_LINES = 96; // more options are not shown together

/**
 * The place of a probability on the colour scale: p^(1 / log2(count)), which puts the uniform probability 1 / count in the
 * middle for any number of options. (`strength` of the still pictures.)
 * @param {number} probability
 * @param {number} count
 * @returns {number}
 */
export const strengthOf = (probability, count) => probability ** (1 / Math.log2(Math.max(count, 2)));

/**
 * The 256 colours [red, green, blue] of a scale, interpolated between its stops.
 * @param {[stop: number, hex: string][]} scale
 * @returns {number[][]}
 */
export function coloursOf(scale) {
  /** @type {[stop: number, colour: number[]][]} */
  const stops = scale.map(([stop, hex]) => [stop, [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16))]);
  return Array.from({ length: 256 }, (_, i) => {
    const next = Math.max(1, stops.findIndex(([stop]) => stop >= i / 255));
    const [[low, from], [high, to]] = [stops[next - 1], stops[next]];
    return from.map((part, k) => Math.round(part + ((i / 255 - low) / (high - low)) * (to[k] - part)));
  });
}

/**
 * A heat map for each decision: steps across, options down.
 * @param {HTMLElement} parent
 * @param {Pick<TrialsDescription, "scale" | "sections">} description
 * @param {Tooltip} tooltip
 * @param {Go} go
 * @param {(name: string) => void} open
 * @returns {DrawTrials}
 */
export function decisionsView(parent, { scale, sections }, tooltip, go, open) {
  const colours = coloursOf(scale);
  const opens = Boolean(sections.decision);
  const head = make("div", "naslab-head", parent);
  make("h4", "", head, "decisions");
  const note = make("span", "naslab-facts naslab-heat-key", head);
  const [least, ramp, most] = /** @type {("span" | "i")[]} */ (["span", "i", "span"]).map((tag) => make(tag, "", note));
  ramp.style.background = `linear-gradient(90deg, ${scale.map(([stop, hex]) => `${hex} ${100 * stop}%`).join(", ")})`;
  const select = make("select", "naslab-select", head);
  select.setAttribute("aria-label", "which decision");
  const box = make("div", "naslab-heat-box", parent);
  const canvas = make("canvas", "naslab-heat", box);
  const rings = make("div", "", box);
  const allRings = () => /** @type {HTMLElement[]} */ ([...rings.children]);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "probability of each option over time");
  const LEFT = 112;
  /** @type {string | null} */
  let named = null;
  /** @type {{state: TrialsState, theme: Theme, bands: Band[]}} */
  let drawn;
  /** @type {Record<string, string>} */
  let questions = {};
  let asked = "";
  /** @type {(name: string) => string} */
  const questionOf = (name) => questions[name.replace(Q_VALUES, "")] ?? name;
  select.addEventListener("change", () => window.requestAnimationFrame(() => drawn && draw(drawn.state, drawn.theme)));

  // Every decision twice: its probabilities, and its Q-values if it has any.
  /** @type {(state: TrialsState) => Decision[]} */
  function decisions(state) {
    const found = [];
    for (const kind of ["policy", "details"]) {
      const table = state.tables[kind];
      if (!table) continue;
      for (const [name, { start, width }] of columnsByName(table.columns))
        if (kind === "policy" || name.startsWith(Q_VALUES)) found.push({ key: `${kind}=${name}`, name, kind, table, start, width });
    }
    return found;
  }

  // The menu offers all of a kind together, if they fit, and each alone.
  /** @type {(found: Decision[]) => void} */
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

  /** @type {(state: TrialsState, theme: Theme) => void} */
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
    /** @type {Band[]} */
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
      const until = rowsUntil(table.rows, state.at ?? null).length;
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
    canvas.dataset.decisions = String(found.length);
    canvas.dataset.step = String(rows.length ? rows[rows.length - 1][0] : 0);
  }

  // One tab stop for all decisions; the arrow keys move between them.
  /** @type {(bands: Band[]) => void} */
  function ringAll(bands) {
    const now = JSON.stringify(bands.map(({ key, name, left, top, room, width }) => [key, questionOf(name), left, top, room, width]));
    if (asked === now) return;
    asked = now;
    const had = allRings().findIndex((ring) => ring === document.activeElement);
    rings.replaceChildren();
    bands.forEach(({ name, left, top, line, room, width: count }, i) => {
      const ring = make("div", "naslab-heat-ring", rings);
      Object.assign(ring.style, { left: `${left - LEFT}px`, top: `${top - 15}px`, width: `${LEFT + room}px`, height: `${15 + count * line}px` });
      ring.tabIndex = i === Math.max(0, had) ? 0 : -1;
      ring.setAttribute("role", "button");
      ring.setAttribute("aria-label", `${questionOf(name)}: how it was learnt`);
      ring.dataset.decision = name.replace(Q_VALUES, "");
    });
    if (had >= 0) allRings()[Math.min(had, rings.children.length - 1)]?.focus();
  }

  rings.addEventListener("keydown", (event) => {
    const all = allRings();
    const at = all.findIndex((ring) => ring === event.target);
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (by === undefined && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    if (by === undefined) return open(all[at].dataset.decision ?? "");
    const next = all[(at + by + all.length) % all.length];
    [all[at].tabIndex, next.tabIndex] = [-1, 0];
    next.focus();
  });

  // Probabilities span 0 to 1, values their range over all that are shown together.
  /** @type {(shown: Decision[]) => [number, number]} */
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

  /** @type {(pen: Pen, band: Band, range: [number, number], theme: Theme) => void} */
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
    still.getContext("2d")?.putImageData(image, 0, 0);
    pen.globalAlpha = 1;
    pen.drawImage(still, left, top, room, count * line - 1);
    pen.fillStyle = theme.text;
    pen.font = `600 10px ${theme.font}`;
    pen.globalAlpha = 0.8;
    pen.fillText(fitted(pen, questionOf(name), room), left, top - 4);
    pen.font = `10px ${theme.font}`;
    pen.textAlign = "right";
    pen.globalAlpha = 0.75;
    for (let i = 0; i < count; i++) pen.fillText(fitted(pen, names[i] ?? `option ${i + 1}`, LEFT - 10), left - 6, top + i * line + line / 2 + 3);
    pen.textAlign = "left";
  }

  // The decision and the row under the pointer, or null.
  /** @type {(event: Point) => {band: Band, rows: Row[], at: number} | null} */
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
    const values = Array.from(rows[at].subarray(band.start, band.start + band.width), (value, i) => ({ value, name: band.names[i] ?? `option ${i + 1}`, i }));
    const nearby = values.length <= 16 ? values : values.filter(({ i }) => Math.abs(i - under) <= 7);
    tooltip.show(event, [
      { text: `${questionOf(band.name)}  ·  ${drawn.state.status.unit} ${rows[at][0]}`, strong: true },
      ...nearby.map(({ value, name, i }) => ({ text: `${number(value)}  ${name}`, strong: i === under })),
    ]);
  });
  canvas.addEventListener("mouseleave", tooltip.hide);
  return draw;
}
