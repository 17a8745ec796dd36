// One of several searches: its progress, its cell with the differences from the others, its alphas, and what it lacks.

import { alphaView } from "./alpha.js";
import { hue } from "./canvas.js";
import { cellView } from "./cell.js";
import { cellNumber, difference, comparable } from "./differences.js";
import { make, placePicture, shape } from "./elements.js";
/** @import { CellPortrait, CompareState, Theme, Tooltip, Track } from "./types.js" */

/**
 * A sample of the stroke that a search has in the charts.
 * @param {HTMLElement} parent
 * @param {Track} track
 * @returns {(theme: Theme) => void}
 */
export function strokeSample(parent, track) {
  const box = shape("svg", { class: "naslab-sample", viewBox: "0 0 34 8", width: 34, height: 8 }, parent);
  const line = shape("path", { d: "M1 4H33", "stroke-width": 3, "stroke-dasharray": track.dash.join(" "), fill: "none" }, box);
  return (theme) => line.setAttribute("stroke", hue(track, theme));
}

/**
 * The card of one search.
 * @param {HTMLElement} parent
 * @param {number} place
 * @param {Track[]} tracks
 * @param {Tooltip} tooltip
 * @param {(track: number, cell: number) => void} ask
 * @returns {(state: CompareState, theme: Theme, focus: number | null) => void}
 */
export function laneView(parent, place, tracks, tooltip, ask) {
  const track = tracks[place];
  const card = make("section", "naslab-card naslab-lane", parent);
  const head = make("div", "naslab-lane-head", card);
  const stroke = strokeSample(head, track);
  make("h4", "", head, track.name);
  const far = make("span", "naslab-far", head);
  const differs = make("span", "naslab-differs", head);
  const lacks = make("div", "naslab-lacks", card);
  const alarm = make("div", "naslab-alarm", card);
  const body = make("div", `naslab-lane-body naslab-lane-${track.parts.length}`, card);
  const parts = track.parts.map((part) => {
    const box = make("div", "naslab-lane-part", body);
    if (track.parts.length > 1) make("div", "naslab-part-name", box, part.name);
    return { part, cell: cellView(box, part, track.operations, tooltip), alpha: alphaView(box, part, track.operations, tooltip, { charts: track.parts.length > 1 }) };
  });
  const portrait = track.parts.length ? null : make("div", "naslab-picture", body);
  const list = track.parts.length ? null : make("table", "naslab-facts-table", body);
  /** @type {CellPortrait | null} */
  let pictured = null;

  /** @type {(state: CompareState) => void} */
  function drawPortrait(state) {
    const at = cellNumber(place, tracks, state);
    const own = at < 0 ? null : state.portraits.get(`${place}:${at}`);
    if (at >= 0 && own === undefined) ask(place, at);
    if (!own || !portrait || !list) return;
    if (own !== pictured) placePicture(portrait, own.picture);
    pictured = own;
    list.replaceChildren();
    let count = 0;
    const others = comparable(place, tracks).map((j) => ({ track: tracks[j], kept: new Map(state.portraits.get(`${j}:${cellNumber(j, tracks, state)}`)?.choices) }));
    for (const [name, value] of own.choices) {
      const otherwise = others.filter(({ kept }) => kept.has(name) && kept.get(name) !== value);
      if (!otherwise.length) continue;
      count += 1;
      if (count > 8) continue;
      const row = make("tr", "", list);
      make("th", "", row, `≠ ${name}`);
      const theirs = otherwise.map(({ track, kept }) => `${track.name}: ${kept.get(name)}`);
      make("td", "", row, `${value}   (${theirs.join(", ")})`);
    }
    if (count > 8) make("td", "", make("tr", "", list), `and ${count - 8} more`);
    tell(others.length ? `${count} of ${own.choices.length} decisions differ` : "", count);
  }

  /** @type {(text: string, count: number) => void} */
  function tell(text, count) {
    differs.textContent = text || (comparable(place, tracks).length ? "" : "no other search here has cells of this kind to compare with");
    card.dataset.differs = String(count);
  }

  return function draw(state, theme, focus) {
    const status = state.status.tracks[place] || { state: "idle", step: 0, lacks: [], message: "" };
    const rows = state.tracks[place].shown;
    const row = rows[rows.length - 1];
    stroke(theme);
    card.dataset.step = String(row ? row[0] : 0);
    card.dataset.state = status.state;
    const epochs = row ? row[track.columns.epochs] : NaN;
    far.textContent = [`step ${row ? row[0].toLocaleString("en") : 0} / ${track.total.toLocaleString("en")}`, Number.isFinite(epochs) && `epoch ${epochs.toFixed(1)}`, row && `${Math.round(10 * row[track.columns.seconds]) / 10} s`, state.at === null ? status.state : "looking back"]
      .filter(Boolean)
      .join("  ·  ");
    lacks.textContent = status.lacks.join("; ");
    alarm.textContent = status.message;
    alarm.style.display = status.message ? "" : "none";
    if (portrait) return drawPortrait(state);
    const plain = status.lacks.some((text) => text.startsWith("no alphas"));
    const { otherwise, summary } = difference(place, tracks, state);
    for (const { part, cell, alpha } of parts) {
      cell({ rows, otherwise: otherwise[part.name] }, theme, focus);
      const whole = plain || !row ? [] : state.tracks[place].rows;
      alpha({ rows: whole, moment: plain ? undefined : row, at: state.at === null ? null : row?.[0], otherwise: otherwise[part.name] }, theme, focus, plain);
    }
    tell(summary, Object.values(otherwise).flat().filter((texts) => texts.length).length);
  };
}
