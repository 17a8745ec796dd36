// One of several searches: how far it is, its cell with what the others have otherwise, its alphas, and what it lacks.

import { alphaView } from "./alpha.js";
import { cellView } from "./cell.js";
import { hue, make, placePicture, shape } from "./shared.js";

// A stroke as it is drawn in the charts.
export function sample(parent, track) {
  const box = shape("svg", { class: "naslab-sample", viewBox: "0 0 34 8", width: 34, height: 8 }, parent);
  const line = shape("path", { d: "M1 4H33", "stroke-width": 3, "stroke-dasharray": track.dash.join(" "), fill: "none" }, box);
  return (theme) => line.setAttribute("stroke", hue(track, theme));
}

export function laneView(parent, place, tracks, tooltip, ask) {
  const track = tracks[place];
  const card = make("section", "naslab-card naslab-lane", parent);
  const head = make("div", "naslab-lane-head", card);
  const stroke = sample(head, track);
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
  let pictured = null;

  function drawPortrait(state) {
    const at = cellNumber(place, tracks, state);
    const told = at < 0 ? null : state.portraits.get(`${place}:${at}`);
    if (at >= 0 && told === undefined) ask(place, at);
    if (!told) return;
    if (told !== pictured) placePicture(portrait, told.picture);
    pictured = told;
    list.replaceChildren();
    let count = 0;
    const others = kin(place, tracks).map((j) => [j, state.portraits.get(`${j}:${cellNumber(j, tracks, state)}`)]);
    for (const [name, value] of told.choices) {
      const otherwise = others.filter(([, other]) => other && other.choices.some(([n, v]) => n === name && v !== value));
      if (!otherwise.length) continue;
      count += 1;
      if (count > 8) continue;
      const row = make("tr", "", list);
      make("th", "", row, `≠ ${name}`);
      const theirs = otherwise.map(([j, other]) => `${tracks[j].name}: ${other.choices.find(([n]) => n === name)[1]}`);
      make("td", "", row, `${value}   (${theirs.join(", ")})`);
    }
    if (count > 8) make("td", "", make("tr", "", list), `and ${count - 8} more`);
    tell(others.length ? `${count} of ${told.choices.length} decisions differ` : "", count);
  }

  function tell(text, count) {
    differs.textContent = text || (kin(place, tracks).length ? "" : "no other search here has cells of this kind to compare with");
    card.dataset.differs = count;
  }

  return function draw(state, theme, focus) {
    const status = state.status.tracks[place] || { state: "idle", step: 0, lacks: [], message: "" };
    const rows = state.tracks[place].shown;
    const row = rows[rows.length - 1];
    stroke(theme);
    card.dataset.step = row ? row[0] : 0;
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
    const { otherwise, told } = difference(place, tracks, state);
    for (const { part, cell, alpha } of parts) {
      cell({ rows, otherwise: otherwise[part.name] }, theme, focus);
      const whole = plain || !row ? [] : state.tracks[place].rows;
      alpha({ rows: whole, moment: plain ? undefined : row, at: state.at === null ? null : row?.[0], otherwise: otherwise[part.name] }, theme, focus, plain);
    }
    tell(told, Object.values(otherwise).flat().filter((texts) => texts.length).length);
  };
}

// The searches that a search can be compared with.
export const kin = (place, tracks) => tracks.map((_, j) => j).filter((j) => j !== place && tracks[j].kin === tracks[place].kin);

export function cellNumber(place, tracks, state) {
  const rows = state.tracks[place].shown;
  return rows.length ? rows[rows.length - 1][tracks[place].columns.cell] : -1;
}

// What is marked of what others keep there: with one other all that differs; with several only what two of them agree on,
// since early nearly every edge differs from one of them. theirs: [[name, kept]].
export function marked(mine, theirs) {
  const different = theirs.filter(([, kept]) => kept !== mine);
  if (theirs.length < 2) return different;
  return different.filter(([, kept]) => different.filter(([, other]) => other === kept).length > 1);
}

// Part -> for each edge, what others keep there that this search does not, as far as it is marked; and in words.
export function difference(place, tracks, state) {
  const track = tracks[place];
  const mine = state.tracks[place].shown.at(-1);
  const others = kin(place, tracks).filter((j) => state.tracks[j].shown.length);
  const counts = others.map(() => 0);
  const keptBy = (j, row, part, edge) => {
    const at = tracks[j].parts.find(({ name }) => name === part.name).kept + edge;
    return row[at] < 0 ? "dropped" : tracks[j].operations[row[at]].name;
  };
  const otherwise = {};
  let edges = 0;
  for (const part of track.parts) {
    edges += part.labels.length;
    otherwise[part.name] = part.labels.map((_, edge) => {
      if (!mine) return [];
      const own = keptBy(place, mine, part, edge);
      const theirs = others.map((j) => [tracks[j].name, keptBy(j, state.tracks[j].shown.at(-1), part, edge)]);
      theirs.forEach(([, kept], k) => (counts[k] += kept !== own));
      return marked(own, theirs).map((pair) => pair.join(": "));
    });
  }
  const told = mine ? others.map((j, k) => (counts[k] ? `${counts[k]} of ${edges} edges differ from ${tracks[j].name}` : `the same as ${tracks[j].name}`)).join("  ·  ") : "";
  return { otherwise, told };
}
