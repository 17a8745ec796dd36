// Several searches in line on one axis: status, scrub bar, charts, and a lane for each search.

import { hue } from "./canvas.js";
import { keepKeys, make } from "./elements.js";
import { laneView, strokeSample } from "./lane.js";
import { logAt, logView, notesView } from "./log.js";
import { nearestAmong, placeAmong } from "./moment.js";
import { onAxis, overlayView } from "./overlay.js";
import { keepDrawn } from "./redraw.js";
import { MOST_ROWS, nearestRow } from "./rows.js";
import { scrubView } from "./timebar.js";
import { makeTooltip } from "./tooltip.js";
import { connect, unpack } from "./wire.js";
/** @import { AxisName, CellMessage, CompareDescription, CompareMessage, CompareState, CompareStatus, Go, Mark, Row, Widget } from "./types.js" */

/**
 * @param {Widget} widget
 */
function render({ model, el }) {
  const { tracks, charts, rankings, axes, notes } = /** @type {CompareDescription} */ (model.get("description"));
  const root = make("div", "naslab naslab-compare-view", el);
  keepKeys(root);
  const tooltip = makeTooltip(root);
  /** @type {CompareStatus} */
  const idle = { state: "idle", step: 0, total: null, axis: "steps", log: [], marks: [], tracks: [] };
  /** @type {CompareState} */
  const state = { tracks: tracks.map(() => ({ rows: [], shown: [] })), status: idle, axis: "steps", at: null, limit: 0, marks: tracks.map(() => []), portraits: new Map() };
  const asked = new Set();
  /** @type {string | null} */
  let focus = null;

  // Snaps to a place at which one of the searches has a step.
  /** @type {Go} */
  function go(place) {
    const near = nearestAmong(placesOfAll(), place);
    state.at = place >= state.limit || near >= state.limit ? null : near;
    page.redraw();
  }
  /** @type {(place: number) => string} */
  const tell = (place) => onAxis(state.axis === "steps" ? Math.round(place) : place, state.axis);
  const scrub = scrubView(root, { tooltip, go, tell, label: "time of the searches", moment: () => state.at });

  const names = make("div", "naslab-legend", root);
  const strokes = tracks.map((track) => {
    const chip = make("span", "", names);
    const stroke = strokeSample(chip, track);
    make("span", "", chip, track.name);
    return stroke;
  });
  const overlay = overlayView(make("section", "naslab-card", root), { tracks, charts, rankings }, tooltip, go);
  notesView(root, notes);

  const operations = new Map(tracks.flatMap((track) => track.operations.map((operation) => [operation.name, operation])));
  const legend = make("div", "naslab-legend", root);
  const chips = [...operations.values()].map((operation) => {
    const chip = make("span", "", legend);
    make("i", "", chip);
    make("span", "", chip, operation.name);
    chip.addEventListener("mouseenter", () => ((focus = operation.name), page.redraw()));
    chip.addEventListener("mouseleave", () => ((focus = null), page.redraw()));
    return /** @type {HTMLElement} */ (chip.firstChild);
  });
  if (operations.size) make("span", "naslab-key", legend, tracks.length > 2 ? "≠ with a halo: two others agree on something else there" : "≠ with a halo: the other search keeps something else there");
  /** @type {(track: number, cell: number) => void} */
  const ask = (track, cell) => {
    const key = `${track}:${cell}`;
    if (!asked.has(key)) {
      asked.add(key);
      model.send({ type: "portrait", track, cell });
    }
  };
  const lanes = tracks.map((_, place) => laneView(root, place, tracks, tooltip, ask));
  const log = logView(root);

  /** @type {(i: number, row: Row, axis?: AxisName) => number} */
  const placeOf = (i, row, axis = state.axis) => row[tracks[i].columns[axis]];
  const placesOfAll = () => state.tracks.map(({ rows }, i) => rows.map((row) => placeOf(i, row)).filter(Number.isFinite));

  // The same moment along another axis, by a search that has both.
  /** @type {(at: number, from: AxisName, to: AxisName) => number | null} */
  function moved(at, from, to) {
    const i = state.tracks.findIndex(({ rows }, k) => rows.length && [from, to].every((axis) => Number.isFinite(placeOf(k, rows[rows.length - 1], axis))));
    if (i < 0) return null;
    const { rows } = state.tracks[i];
    return placeOf(i, rows[Math.max(0, rows.findLastIndex((row) => placeOf(i, row, from) <= at))], to);
  }

  // Cuts the rows at the moment that is shown.
  function arrange() {
    const axis = state.status.axis || "steps";
    if (state.at !== null && axis !== state.axis) state.at = moved(state.at, state.axis, axis);
    state.axis = axis;
    const ends = state.tracks.map(({ rows }, i) => (rows.length ? placeOf(i, rows[rows.length - 1]) : NaN)).filter(Number.isFinite);
    state.limit = Math.max(0, ...ends);
    if (state.at !== null && state.at >= state.limit) state.at = null; // the searches went back to before it
    state.tracks.forEach((track, i) => {
      const { rows } = track;
      const { at } = state;
      if (at === null || !rows.length) return (track.shown = rows);
      const known = Number.isFinite(placeOf(i, rows[rows.length - 1]));
      const count = known ? rows.findLastIndex((row) => placeOf(i, row) <= at) + 1 : Math.round((rows.length * at) / Math.max(state.limit, 1e-9));
      track.shown = rows.slice(0, count);
    });
    state.marks = state.tracks.map(({ rows }, i) => (rows.length ? (state.status.tracks[i]?.marks || []).map(([step]) => placeOf(i, nearestRow(rows, step))).filter(Number.isFinite) : []));
  }

  /** @returns {Mark[]} */
  function marksOfAll() {
    const marks = state.status.tracks.flatMap((one, i) => {
      const { rows } = state.tracks[i];
      return rows.length ? (one.marks || []).map(([step, text]) => /** @type {Mark} */ ([placeOf(i, nearestRow(rows, step)), "changed", `${tracks[i].name}, step ${step.toLocaleString("en")}: ${text}`])) : [];
    });
    return marks.filter(([place]) => Number.isFinite(place)).sort((a, b) => a[0] - b[0]);
  }

  const page = keepDrawn(root, (theme) => {
    arrange();
    root.dataset.moving = String(state.status.state === "running");
    const total = state.axis === "steps" ? Math.max(...tracks.map((track) => track.total)) : state.axis === "share" ? 100 : state.limit;
    const first = Math.min(...state.tracks.map(({ rows }, i) => (rows.length ? placeOf(i, rows[0]) : NaN)).filter(Number.isFinite), state.limit);
    /** @type {(place: number, by: number) => number} */
    const move = (place, by) => placeAmong(placesOfAll(), place, by);
    scrub({ first: Math.max(first, 1e-9), last: state.limit, total, at: state.at, marks: marksOfAll(), move }, theme);
    /** @type {HTMLElement} */ (root.querySelector(".naslab-where")).title = axes[state.axis];
    root.dataset.axis = state.axis;
    root.dataset.at = String(state.at ?? "now");
    strokes.forEach((stroke) => stroke(theme));
    [...operations.values()].forEach((operation, i) => (chips[i].style.background = hue(operation, theme)));
    overlay(state, theme);
    lanes.forEach((draw, i) => {
      const at = tracks[i].operations.findIndex(({ name }) => name === focus);
      draw(state, theme, focus === null || at < 0 ? null : at);
    });
    const lines = state.status.tracks.flatMap((one, i) => {
      const then = state.at === null ? null : (state.tracks[i].shown.at(-1)?.[0] ?? 0);
      return logAt({ log: one.log || [], marks: one.marks }, then).map((line) => ({ ...line, text: `${tracks[i].name}: ${line.text}` }));
    });
    log({ status: { log: lines.sort((a, b) => a.step - b.step).slice(-8), marks: [] } });
    stream.drawn();
  });

  /** @type {(message: CompareMessage | CellMessage) => boolean} */
  const opens = (message) => message.type === "snapshot";
  const stream = connect(model, opens, (message, buffers) => {
    if (message.type === "portrait") {
      state.portraits.set(`${message.track}:${message.cell}`, message.told);
      return page.redraw();
    }
    if (opens(message)) {
      state.portraits.clear();
      asked.clear();
    }
    buffers.forEach((buffer, i) => {
      const rows = unpack(buffer, tracks[i].width);
      const track = state.tracks[i];
      if (opens(message)) track.rows = rows;
      else track.rows.push(...rows);
      if (track.rows.length > MOST_ROWS) track.rows = track.rows.filter((_, k) => k % 2 === 0 || k === track.rows.length - 1);
    });
    state.status = { ...idle, ...message.status };
    page.redraw();
  });
  return () => {
    stream.close();
    page.close();
  };
}

export default { render };
