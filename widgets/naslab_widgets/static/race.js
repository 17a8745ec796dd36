// A race: for each searcher the median over the seeds and the middle half of them, along the budget.

import { cursorLine, nearestAmong, placeAmong } from "./moment.js";
import { digits, keepKeys, make, makeTooltip, number, roundTicks, sharp, talk, unpack, widened } from "./shared.js";
import { keepDrawn, notesView } from "./status.js";
import { scrubView } from "./timebar.js";

// Columns of a row of a band.
const [X, MEAN, MEDIAN, LOWER, UPPER, SEEDS] = [0, 1, 4, 5, 6, 7];

export function raceView(parent, { searchers, cost }, tooltip, go) {
  const canvas = make("canvas", "naslab-race", parent);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "a band over the seeds for each searcher, along the budget");
  const height = 320;
  let drawn = null;

  // Where a value goes, from 0 at the bottom to 1 at the top, and the ticks. Regret and rank are on a logarithmic axis,
  // with a place for 0 below the smallest regret; the best rank is at the top.
  function heights(kind, bands, sign) {
    const values = bands.flatMap((rows) => rows.flatMap((row) => [row[LOWER], row[UPPER], row[MEDIAN]])).filter(Number.isFinite);
    if (!values.length) return null;
    if (kind === "best") {
      const late = bands.flatMap((rows) => rows.slice(Math.floor(rows.length / 8)).flatMap((row) => [row[LOWER], row[UPPER]])).filter(Number.isFinite);
      const low = Math.min(...(sign < 0 ? values : late));
      const high = Math.max(...(sign < 0 ? late : values));
      const [bottom, top] = widened(low, high, 0.05);
      const ticks = roundTicks(bottom, top, 6).map((tick) => [tick, digits(tick, 6)]);
      return { place: (value) => (value - bottom) / (top - bottom), ticks };
    }
    const positive = values.filter((value) => value > 0);
    if (!positive.length) return { place: () => 0.5, ticks: [[0, "0"]] };
    const zero = kind === "regret" && values.some((value) => value <= 0);
    const least = Math.min(...positive);
    const low = Math.log10(least) - (zero ? 0.5 : 0.05);
    const high = Math.max(Math.log10(Math.max(...positive)) + 0.05, low + 0.3);
    const up = (value) => (Math.log10(value) - low) / (high - low);
    const told = (value) => (value < 1e7 && value >= 1e-4 ? value.toLocaleString("en", { maximumSignificantDigits: 2 }) : digits(value, 2));
    const ticks = [];
    const stride = 1 + Math.floor((high - low) / 10);
    for (let power = Math.floor(low) - 1; power <= high; power += stride)
      for (const base of high - low < 1.5 ? [1, 2, 5] : [1])
        if (up(base * 10 ** power) >= (zero ? 0.06 : 0) && up(base * 10 ** power) <= 1) ticks.push([base * 10 ** power, told(base * 10 ** power)]);
    if (zero) ticks.push([0, "0"]);
    const place = (value) => (value > 0 ? Math.max(0, up(value)) : 0);
    return kind === "rank" ? { place: (value) => 1 - place(value), ticks } : { place, ticks };
  }

  function draw({ bands, status, at }, theme) {
    const width = canvas.clientWidth || 900;
    const pen = sharp(canvas, width, height);
    const frame = { x: 62, y: 26, width: width - 78, height: height - 66 };
    canvas.dataset.step = status.step;
    pen.font = `11px ${theme.font}`;
    pen.fillStyle = theme.text;
    pen.globalAlpha = 0.05;
    pen.fillRect(frame.x, frame.y, frame.width, frame.height);
    pen.globalAlpha = 1;
    const scale = heights(status.kind, bands, status.sign);
    const ends = bands.filter((rows) => rows.length);
    drawn = null;
    if (!scale || !ends.length) {
      pen.textAlign = "center";
      const why = ends.length ? "no evaluation has succeeded so far" : "nothing has been evaluated yet: press Play";
      pen.fillText(why, frame.x + frame.width / 2, frame.y + frame.height / 2);
      pen.textAlign = "left";
      return;
    }
    const first = Math.min(...ends.map((rows) => rows[0][X]));
    const last = Math.max(...ends.map((rows) => rows[rows.length - 1][X]), first * 1.5);
    const across = (x) => frame.x + (frame.width * Math.log(x / first)) / Math.log(last / first);
    const down = (value) => frame.y + frame.height * (1 - scale.place(value));
    axes(pen, frame, scale, across, down, first, last, theme, status.title);
    pen.save();
    pen.beginPath();
    pen.rect(frame.x, frame.y - 2, frame.width, frame.height + 4);
    pen.clip();
    bands.forEach((rows, i) => {
      const known = rows.filter((row) => Number.isFinite(row[MEDIAN]));
      if (!known.length) return;
      pen.fillStyle = pen.strokeStyle = ink(searchers[i].colour, theme);
      pen.globalAlpha = theme.dark ? 0.26 : 0.17;
      pen.beginPath();
      known.forEach((row) => pen.lineTo(across(row[X]), down(row[LOWER])));
      [...known].reverse().forEach((row) => pen.lineTo(across(row[X]), down(row[UPPER])));
      pen.fill();
      pen.globalAlpha = 1;
      pen.lineWidth = 2.2;
      pen.beginPath();
      known.forEach((row) => pen.lineTo(across(row[X]), down(row[MEDIAN])));
      pen.stroke();
    });
    if (at !== null) {
      cursorLine(pen, across(at), frame.y, frame.y + frame.height, theme);
      drawValues(pen, frame, bands, at, across, down, theme);
    }
    pen.restore();
    drawn = { bands, frame, across, first, last, theme, title: status.title };
  }

  // At the moment that one looks back to, the median of each, beside the line.
  function drawValues(pen, frame, bands, at, across, down, theme) {
    const right = across(at) > frame.x + 0.8 * frame.width;
    pen.textAlign = right ? "right" : "left";
    pen.font = `600 11px ${theme.font}`;
    const found = bands.map((rows, i) => ({ i, row: rows.length ? nearestIn(rows, at) : null })).filter(({ row }) => row && Number.isFinite(row[MEDIAN]));
    let lowest = -Infinity;
    for (const { i, row } of found.sort((a, b) => down(a.row[MEDIAN]) - down(b.row[MEDIAN]))) {
      const y = down(row[MEDIAN]);
      pen.fillStyle = ink(searchers[i].colour, theme);
      pen.beginPath();
      pen.arc(across(at), y, 4, 0, 2 * Math.PI);
      pen.fill();
      lowest = Math.max(lowest + 13, y + 4);
      pen.lineWidth = 3;
      pen.strokeStyle = theme.ground;
      pen.strokeText(number(row[MEDIAN]), across(at) + (right ? -8 : 8), lowest);
      pen.fillText(number(row[MEDIAN]), across(at) + (right ? -8 : 8), lowest);
    }
    pen.textAlign = "left";
  }

  function axes(pen, frame, scale, across, down, first, last, theme, title) {
    pen.strokeStyle = pen.fillStyle = theme.text;
    pen.lineWidth = 1;
    pen.textAlign = "right";
    for (const [value, label] of scale.ticks) {
      const y = Math.round(down(value)) + 0.5;
      pen.globalAlpha = 0.14;
      pen.beginPath();
      pen.moveTo(frame.x, y);
      pen.lineTo(frame.x + frame.width, y);
      pen.stroke();
      pen.globalAlpha = 0.75;
      pen.fillText(label, frame.x - 6, y + 4);
    }
    pen.textAlign = "center";
    for (let power = Math.floor(Math.log10(first)); power <= Math.log10(last); power++)
      for (const base of Math.log10(last / first) > 6 ? [1] : [1, 3]) {
        const tick = base * 10 ** power;
        const told = tick < 1e7 && tick >= 1e-4 ? tick.toLocaleString("en") : digits(tick, 2);
        if (tick >= first * 0.999 && tick <= last * 1.001) pen.fillText(told, across(tick), frame.y + frame.height + 16);
      }
    pen.fillText(cost, frame.x + frame.width / 2, frame.y + frame.height + 34);
    pen.textAlign = "left";
    pen.globalAlpha = 0.9;
    pen.fillText(title, frame.x, 15);
    let right = frame.x + frame.width;
    pen.textAlign = "right";
    for (let i = searchers.length - 1; i >= 0; i--) {
      const name = searchers[i].name.length > 28 ? `${searchers[i].name.slice(0, 27)}…` : searchers[i].name;
      pen.globalAlpha = 0.9;
      pen.fillStyle = theme.text;
      pen.fillText(name, right, 15);
      right -= pen.measureText(name).width + 6;
      pen.globalAlpha = 1;
      pen.fillStyle = ink(searchers[i].colour, theme);
      pen.fillRect(right - 14, 9, 14, 4);
      right -= 28;
    }
    pen.textAlign = "left";
  }

  // What is spent under the pointer; null outside.
  function spentAt({ offsetX }) {
    const { frame, first, last } = drawn;
    return offsetX < frame.x || offsetX > frame.x + frame.width ? null : first * (last / first) ** ((offsetX - frame.x) / frame.width);
  }

  canvas.addEventListener("click", (event) => {
    const spent = drawn && spentAt(event);
    if (spent !== null) go(spent);
  });
  canvas.addEventListener("mousemove", (event) => {
    if (!drawn) return;
    const { bands, theme, title } = drawn;
    const x = spentAt(event);
    if (x === null) return tooltip.hide();
    const lines = bands.map((rows, i) => {
      if (!rows.length) return null;
      const row = nearestIn(rows, x);
      return {
        text: `${searchers[i].name}: median ${number(row[MEDIAN])} (${number(row[LOWER])} to ${number(row[UPPER])}), mean ${number(row[MEAN])}, ${row[SEEDS]} seeds`,
        colour: ink(searchers[i].colour, theme),
      };
    });
    tooltip.show(event, [{ text: `${title}, ${Math.round(x).toLocaleString("en")} ${cost}`, strong: true }, ...lines.filter(Boolean)]);
  });
  canvas.addEventListener("mouseleave", tooltip.hide);
  return draw;
}

// The row whose cost is nearest, as it is drawn: in ratios.
const nearestIn = (rows, x) => rows.reduce((best, other) => (Math.abs(Math.log(other[X] / x)) < Math.abs(Math.log(best[X] / x)) ? other : best));

// A colour that is made for white, a little lighter on a dark ground.
export const ink = (colour, theme) => (theme.dark ? `color-mix(in srgb, ${colour} 78%, white)` : colour);

function render({ model, el }) {
  const description = model.get("description");
  const root = make("div", "naslab", el);
  keepKeys(root);
  const tooltip = makeTooltip(root);
  const state = { sets: [], chosen: null, bands: description.searchers.map(() => []), status: { state: "idle", step: 0, total: null, kind: "best", title: "", sign: 1 }, at: null };
  const spentBy = () => turned().bands.map((rows) => rows.map((row) => row[X]));
  const last = () => Math.max(0, ...spentBy().map((places) => places.at(-1) ?? 0));
  function go(place) {
    const spent = description.whole ? Math.max(1, Math.round(place)) : nearestAmong(spentBy(), place);
    state.at = place >= last() || spent >= last() ? null : spent;
    drawer.redraw();
  }
  const tell = (place) => `${description.whole ? Math.round(place).toLocaleString("en") : number(place)} ${description.cost}`;
  const scrub = scrubView(root, { tooltip, go, tell, label: "budget of each runner", moment: () => state.at });
  const views = [raceView(make("section", "naslab-card", root), description, tooltip, go)];

  // As the page has chosen: Python hears of it when it can.
  function turned() {
    const set = state.sets.find(({ kind }) => kind === (state.chosen ?? state.status.kind));
    return set ? { bands: set.bands, status: { ...state.status, kind: set.kind, title: set.title } } : state;
  }

  notesView(root, description.notes);
  const drawer = keepDrawn(root, (theme) => {
    const end = last();
    if (state.at !== null && state.at >= end) state.at = null;
    const first = Math.min(end || 1, ...spentBy().map((places) => places[0] ?? Infinity));
    const move = description.whole ? (place, by) => place + by : (place, by) => placeAmong(spentBy(), place, by);
    scrub({ first, last: end, total: description.budget, at: state.at, marks: [], move }, theme);
    root.dataset.at = state.at ?? "now";
    for (const draw of views) draw({ ...turned(), at: state.at }, theme);
    stream.drawn();
  });
  const choose = (event) => {
    if (event.target.closest(".naslab-lab") !== root.closest(".naslab-lab")) return;
    state.chosen = event.detail;
    drawer.redraw();
  };
  document.addEventListener("naslab-choice", choose);
  const stream = talk(
    model,
    () => true,
    (message, buffers) => {
      state.sets = message.kinds.map(({ kind, title, points }, i) => {
        const rows = unpack(buffers[i], 8);
        return { kind, title, bands: points.map((count) => rows.splice(0, count)) };
      });
      if (message.status.kind !== state.status.kind) state.chosen = null;
      state.status = message.status;
      drawer.redraw();
    },
  );
  return () => {
    document.removeEventListener("naslab-choice", choose);
    stream.close();
    drawer.close();
  };
}

export default { render };
