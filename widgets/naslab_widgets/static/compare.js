// Several searches in line on one axis: status, scrub bar, charts, and a lane for each search.

import { laneView, sample } from "./lane.js";
import { onAxis, overlayView } from "./overlay.js";
import { hue, keepKeys, make, makeTooltip, MOST_ROWS, nearestRow, talk, unpack } from "./shared.js";
import { keepDrawn, logView, notesView } from "./status.js";

function render({ model, el }) {
  const { tracks, charts, rankings, axes, notes } = model.get("description");
  const root = make("div", "naslab naslab-compare-view", el);
  keepKeys(root);
  const tooltip = makeTooltip(root);
  const idle = { state: "idle", step: 0, total: null, axis: "steps", log: [], marks: [], rates: {}, tracks: [] };
  const state = { tracks: tracks.map(() => ({ rows: [], shown: [] })), status: idle, axis: "steps", at: null, limit: 0, marks: tracks.map(() => []), portraits: new Map() };
  const asked = new Set();
  let focus = null;

  const scrub = make("div", "naslab-scrub", root);
  const back = make("input", "", scrub);
  Object.assign(back, { type: "range", min: 0, max: 1000, value: 1000, step: 1 });
  back.setAttribute("aria-label", "look back");
  const where = make("span", "naslab-where", scrub);
  const live = make("button", "naslab-live", scrub, "back to now");
  back.addEventListener("input", () => {
    state.at = Number(back.value) >= 1000 ? null : (state.limit * Number(back.value)) / 1000;
    page.redraw();
  });
  live.addEventListener("click", () => {
    state.at = null;
    page.redraw();
  });

  const names = make("div", "naslab-legend", root);
  const strokes = tracks.map((track) => {
    const chip = make("span", "", names);
    const stroke = sample(chip, track);
    make("span", "", chip, track.name);
    return stroke;
  });
  const overlay = overlayView(make("section", "naslab-card", root), { tracks, charts, rankings }, tooltip);
  notesView(root, notes);

  const operations = new Map(tracks.flatMap((track) => track.operations.map((operation) => [operation.name, operation])));
  const legend = make("div", "naslab-legend", root);
  const chips = [...operations.values()].map((operation) => {
    const chip = make("span", "", legend);
    make("i", "", chip);
    make("span", "", chip, operation.name);
    chip.addEventListener("mouseenter", () => ((focus = operation.name), page.redraw()));
    chip.addEventListener("mouseleave", () => ((focus = null), page.redraw()));
    return () => chip.firstChild;
  });
  if (operations.size) make("span", "naslab-key", legend, tracks.length > 2 ? "≠ with a halo: two others agree on something else there" : "≠ with a halo: the other search keeps something else there");
  const ask = (track, cell) => {
    const key = `${track}:${cell}`;
    if (!asked.has(key)) {
      asked.add(key);
      model.send({ type: "portrait", track, cell });
    }
  };
  const lanes = tracks.map((_, place) => laneView(root, place, tracks, tooltip, ask));
  const log = logView(root);

  // The rows that are shown: all, or those up to the moment that one looks back to.
  function arrange() {
    state.axis = state.status.axis || "steps";
    const placeOf = (i, row) => row[tracks[i].columns[state.axis]];
    const ends = state.tracks.map(({ rows }, i) => (rows.length ? placeOf(i, rows.at(-1)) : NaN)).filter(Number.isFinite);
    state.limit = Math.max(0, ...ends);
    if (state.at !== null) state.at = Math.min(state.at, state.limit);
    state.tracks.forEach((track, i) => {
      const { rows } = track;
      if (state.at === null || !rows.length) return (track.shown = rows);
      const known = Number.isFinite(placeOf(i, rows.at(-1)));
      const count = known ? rows.findLastIndex((row) => placeOf(i, row) <= state.at) + 1 : Math.round((rows.length * state.at) / Math.max(state.limit, 1e-9));
      track.shown = rows.slice(0, count);
    });
    state.marks = state.tracks.map(({ rows }, i) => (rows.length ? (state.status.tracks[i]?.marks || []).map(([step]) => placeOf(i, nearestRow(rows, step))).filter(Number.isFinite) : []));
  }

  const page = keepDrawn(root, (theme) => {
    arrange();
    root.dataset.moving = state.status.state === "running";
    back.value = state.at === null || !state.limit ? 1000 : (1000 * state.at) / state.limit;
    where.textContent = state.at === null ? `now, ${onAxis(state.limit, state.axis)}` : `at ${onAxis(state.at, state.axis)}, of ${onAxis(state.limit, state.axis)}`;
    where.title = axes[state.axis];
    live.style.visibility = state.at === null ? "hidden" : "";
    root.dataset.axis = state.axis;
    root.dataset.at = state.at === null ? "now" : state.at;
    strokes.forEach((stroke) => stroke(theme));
    [...operations.values()].forEach((operation, i) => (chips[i]().style.background = hue(operation, theme)));
    overlay(state, theme);
    lanes.forEach((draw, i) => {
      const at = tracks[i].operations.findIndex(({ name }) => name === focus);
      draw(state, theme, focus === null || at < 0 ? null : at);
    });
    const lines = state.status.tracks.flatMap((one, i) => (one.log || []).map((line) => ({ ...line, text: `${tracks[i].name}: ${line.text}` })));
    log({ status: { log: lines.sort((a, b) => a.step - b.step).slice(-8) } });
    stream.drawn();
  });

  const opens = (message) => message.type === "snapshot";
  const stream = talk(model, opens, (message, buffers) => {
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
