// The time bar: the whole search, filled as far as it has run, with marks worth going back to, and a thumb at the moment
// that is shown. Above it, while that is an earlier moment, stand the moment and the way back to now.

import { sharp, VIOLET } from "./canvas.js";
import { make } from "./elements.js";
import { markUnder, placedMarks } from "./marks.js";
import { momentOf, placeByKey } from "./moment.js";
/** @import { DrawSection, Go, Mark, Pen, PlacedMark, Point, SectionContext, Status, Theme, TimeBarOptions, TimeBarState, WatchState } from "./types.js" */

const BAR_HEIGHT = 26;
const BAR_SIDE = 9; // pixels beside the track, so that a thumb at its end is whole
/** @type {Record<string, string>} */
const SIGNS = { changed: "▲ something was turned", snapshot: "◆ a snapshot", fork: "⑂ a fork", warning: "⚑ a warning", measured: "● something was measured" };

/**
 * The bar alone, along any axis: a slider for pointer and keys.
 * @param {HTMLElement} parent
 * @param {TimeBarOptions} options
 * @returns {(now: TimeBarState, theme: Theme) => void}
 */
export function timeBar(parent, { tooltip, go, tell, label, moment }) {
  const bar = make("div", "naslab-timebar", parent);
  bar.tabIndex = 0;
  bar.setAttribute("role", "slider");
  bar.setAttribute("aria-label", label);
  bar.title = "";
  const canvas = make("canvas", "", bar);
  canvas.setAttribute("aria-hidden", "true");
  /** @type {TimeBarState & {placed: PlacedMark[], room: number, total: number}} */
  let shown;
  let held = false;

  /** @type {(x: number) => number} */
  const placeAt = (x) => Math.min(shown.last, Math.max(shown.first, ((x - BAR_SIDE) / shown.room) * shown.total));
  /** @type {(event: Point) => PlacedMark | null} */
  const under = (event) => (event.offsetY >= 11 ? markUnder(shown.placed, event.offsetX) : null);

  bar.addEventListener("pointerdown", (event) => {
    if (!shown || shown.last < shown.first || event.button > 0) return;
    const mark = under(event);
    if (mark) return go(mark.place);
    held = true;
    bar.setPointerCapture(event.pointerId);
    go(placeAt(event.offsetX));
  });
  bar.addEventListener("pointermove", (event) => {
    if (!shown || shown.last < shown.first) return;
    if (held) go(placeAt(event.offsetX));
    const mark = held ? null : under(event);
    bar.style.cursor = mark ? "pointer" : "";
    if (!mark) return tooltip.show(event, [{ text: tell(placeAt(event.offsetX)), strong: true }]);
    const more = mark.count - mark.sentences.length;
    tooltip.show(event, [
      { text: SIGNS[mark.kind], strong: true },
      ...mark.sentences.map((text) => ({ text })),
      ...(more > 0 ? [{ text: `and ${more.toLocaleString("en")} more like it` }] : []),
    ]);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) bar.addEventListener(end, () => (held = false));
  bar.addEventListener("pointerleave", tooltip.hide);
  bar.addEventListener("keydown", (event) => {
    if (!shown || shown.last < shown.first || event.ctrlKey || event.metaKey || event.altKey) return;
    const place = placeByKey(event, { ...shown, at: moment(), marks: shown.marks.map(([each]) => each) });
    if (place === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    go(place ?? shown.last);
  });

  return function draw(now, theme) {
    const width = canvas.clientWidth || 800;
    const total = Math.max(now.total || 0, now.last, 1e-9);
    const room = width - 2 * BAR_SIDE;
    /** @type {(place: number) => number} */
    const across = (place) => BAR_SIDE + (room * Math.min(place, total)) / total;
    shown = { ...now, total, room, placed: placedMarks(now.marks, across) };
    const { at, first, last } = now;
    const value = at ?? last;
    bar.setAttribute("aria-valuemin", String(Math.min(first, last)));
    bar.setAttribute("aria-valuemax", String(last));
    bar.setAttribute("aria-valuenow", String(value));
    bar.setAttribute("aria-valuetext", at === null ? `now, ${tell(value)}` : tell(value));
    bar.dataset.at = String(at ?? "now");
    bar.dataset.marks = String(now.marks.length);
    const pen = sharp(canvas, width, BAR_HEIGHT);
    track(pen, BAR_SIDE, room, theme.text, 0.14);
    const done = "#0072b2";
    track(pen, BAR_SIDE, across(last) - BAR_SIDE, done, at === null ? 1 : 0.35);
    if (at !== null) track(pen, BAR_SIDE, across(at) - BAR_SIDE, done, 1);
    for (const mark of shown.placed) drawMark(pen, mark, theme);
    if (last < first) return;
    pen.beginPath();
    pen.arc(across(value), 6, at === null ? 4.5 : 6, 0, 2 * Math.PI);
    pen.fillStyle = at === null ? done : VIOLET[theme.dark ? 1 : 0];
    pen.fill();
    pen.lineWidth = 1.5;
    pen.strokeStyle = theme.ground;
    pen.stroke();
  };
}

/**
 * @param {Pen} pen
 * @param {number} x
 * @param {number} width
 * @param {string} colour
 * @param {number} strength
 */
function track(pen, x, width, colour, strength) {
  pen.globalAlpha = strength;
  pen.fillStyle = colour;
  pen.beginPath();
  pen.roundRect(x, 4, Math.max(0, width), 4, 2);
  pen.fill();
  pen.globalAlpha = 1;
}

/**
 * A mark below the track; each kind has its own shape.
 * @param {Pen} pen
 * @param {{x: number, kind: string}} mark
 * @param {Theme} theme
 */
function drawMark(pen, { x, kind }, theme) {
  pen.fillStyle = pen.strokeStyle = kind === "warning" ? (theme.dark ? "#f5b83d" : "#b06f00") : theme.text;
  pen.globalAlpha = kind === "snapshot" ? 0.4 : 0.85;
  pen.lineWidth = 1.5;
  pen.beginPath();
  const y = 18; // the middle
  if (kind === "changed") {
    pen.moveTo(x, y - 5);
    pen.lineTo(x + 4.5, y + 4);
    pen.lineTo(x - 4.5, y + 4);
  } else if (kind === "snapshot") {
    pen.moveTo(x, y - 3.5);
    pen.lineTo(x + 3.5, y);
    pen.lineTo(x, y + 3.5);
    pen.lineTo(x - 3.5, y);
  } else if (kind === "measured") pen.arc(x, y, 2.6, 0, 2 * Math.PI);
  else if (kind === "fork") {
    pen.moveTo(x, y + 5);
    pen.lineTo(x, y);
    pen.lineTo(x - 3.5, y - 5);
    pen.moveTo(x, y);
    pen.lineTo(x + 3.5, y - 5);
    pen.stroke();
  } else {
    pen.rect(x - 0.75, y - 5, 1.5, 11);
    pen.rect(x + 0.75, y - 5, 6, 5);
  }
  pen.closePath();
  if (kind !== "fork") pen.fill();
  pen.globalAlpha = 1;
}

/**
 * The badge above a bar while an earlier moment is shown, with the button "Now"; other sections may fill `slot`.
 * @param {HTMLElement} parent
 * @param {() => void} back
 * @returns {{slot: HTMLElement, draw: (text: string | null) => void}}
 */
export function momentBadge(parent, back) {
  const box = make("div", "naslab-moment", parent);
  box.hidden = true;
  const badge = make("span", "naslab-moment-badge", box);
  badge.setAttribute("role", "status");
  const now = make("button", "naslab-button naslab-now", box, "Now");
  now.type = "button";
  now.title = "Look at the search as it is now (Esc)";
  now.addEventListener("click", back);
  const slot = make("span", "naslab-moment-slot", box);
  return {
    slot,
    // null hides it.
    draw(text) {
      box.hidden = text === null;
      badge.textContent = text ?? "";
      box.closest(".naslab-lab")?.classList.toggle("naslab-looking-back", text !== null);
    },
  };
}

/**
 * A bar on its own line, for views without the steps of one search; beside it the moment and the button "Now".
 * @param {HTMLElement} parent
 * @param {TimeBarOptions} options
 * @returns {(shown: TimeBarState, theme: Theme) => void}
 */
export function scrubView(parent, { tooltip, go, tell, label, moment }) {
  const line = make("div", "naslab-scrub", parent);
  const draw = timeBar(line, { tooltip, go, tell, label, moment });
  const where = make("span", "naslab-where", line);
  const now = make("button", "naslab-button naslab-now", line, "Now");
  now.type = "button";
  now.title = "Look at it as it is now (Esc)";
  now.addEventListener("click", () => go(Infinity));
  return function (shown, theme) {
    const { at, last } = shown;
    draw(shown, theme);
    where.textContent = at === null ? `now, ${tell(last)}` : `at ${tell(at)}, of ${tell(last)}`;
    where.classList.toggle("naslab-moment-badge", at !== null);
    now.style.visibility = at === null ? "hidden" : "";
    line.closest(".naslab-lab")?.classList.toggle("naslab-looking-back", at !== null);
  };
}

/**
 * The bar of a panel whose search has steps; other sections may put controls for an earlier moment into `places.moment`.
 * @param {HTMLElement} parent
 * @param {Pick<SectionContext, "tooltip" | "cursor" | "places" | "sections">} context
 * @returns {DrawSection}
 */
export function timebarSection(parent, { tooltip, cursor, places, sections }) {
  const box = make("div", "naslab-time", parent);
  /** @type {Pick<Status, "state" | "step" | "total" | "unit">} */
  let status = { state: "idle", step: 0, total: null };
  /** @type {Go} */
  const go = (step) => cursor.set({ at: momentOf(step, status.step) });
  const badge = momentBadge(box, () => cursor.set({ at: null }));
  places.moment = badge.slot;
  /** @type {(place: number) => string} */
  const tell = (place) => `${status.unit || "step"} ${Math.round(place).toLocaleString("en")}` + (status.total ? ` of ${status.total.toLocaleString("en")}` : "");
  const draw = timeBar(box, { tooltip, go, tell, label: "time of the search", moment: () => cursor.at });

  return function (/** @type {{marks: Mark[]}} */ state, now, theme) {
    status = now;
    if (cursor.at !== null && cursor.at >= status.step) cursor.set({ at: null }); // the search went back, or began again
    const { turns = [] } = /** @type {Partial<WatchState>} */ (sections().watch ?? {});
    const warnings = turns.filter(([, level]) => level !== "grey").map(([step, , text]) => /** @type {Mark} */ ([step, "warning", `step ${step.toLocaleString("en")}: ${text}`]));
    const marks = [...state.marks, ...warnings].sort((a, b) => a[0] - b[0]);
    const { at } = cursor;
    draw({ first: 1, last: status.step, total: status.total, at, marks }, theme);
    const still = status.state === "running" ? "still running at" : "now at";
    badge.draw(at === null ? null : `${tell(at)}  ·  ${still} ${status.step.toLocaleString("en")}`);
  };
}
