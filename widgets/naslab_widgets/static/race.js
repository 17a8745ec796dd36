// A race of searchers: its chart, and a time bar along the budget.

import { keepKeys, make } from "./elements.js";
import { notesView } from "./log.js";
import { nearestAmong, placeAmong } from "./moment.js";
import { number } from "./numbers.js";
import { raceView, X } from "./race_chart.js";
import { keepDrawn } from "./redraw.js";
import { scrubView } from "./timebar.js";
import { makeTooltip } from "./tooltip.js";
import { connect, unpack } from "./wire.js";
/** @import { BandsMessage, Go, RaceBands, RaceStatus, Row, Widget } from "./types.js" */

/**
 * @param {Widget} widget
 */
function render({ model, el }) {
  const description = model.get("description");
  const root = make("div", "naslab", el);
  keepKeys(root);
  const tooltip = makeTooltip(root);
  /** @type {RaceBands & {sets: {kind: RaceStatus["kind"], title: string, bands: Row[][]}[], chosen: string | null}} */
  const state = { sets: [], chosen: null, bands: description.searchers.map(() => []), status: { state: "idle", step: 0, total: null, kind: "best", title: "", sign: 1 }, at: null };
  const spentBy = () => turned().bands.map((rows) => rows.map((row) => row[X]));
  const last = () => Math.max(0, ...spentBy().map((places) => places.at(-1) ?? 0));
  /** @type {Go} */
  function go(place) {
    const spent = description.whole ? Math.max(1, Math.round(place)) : nearestAmong(spentBy(), place);
    state.at = place >= last() || spent >= last() ? null : spent;
    drawer.redraw();
  }
  /** @type {(place: number) => string} */
  const tell = (place) => `${description.whole ? Math.round(place).toLocaleString("en") : number(place)} ${description.cost}`;
  const scrub = scrubView(root, { tooltip, go, tell, label: "budget of each runner", moment: () => state.at });
  const views = [raceView(make("section", "naslab-card", root), description, tooltip, go)];

  // The kind that was chosen on the page, which Python learns of only later.
  function turned() {
    const set = state.sets.find(({ kind }) => kind === (state.chosen ?? state.status.kind));
    return set ? { bands: set.bands, status: { ...state.status, kind: set.kind, title: set.title } } : state;
  }

  notesView(root, description.notes);
  const drawer = keepDrawn(root, (theme) => {
    const end = last();
    if (state.at !== null && state.at >= end) state.at = null;
    const first = Math.min(end || 1, ...spentBy().map((places) => places[0] ?? Infinity));
    /** @type {(place: number, by: number) => number} */
    const move = description.whole ? (place, by) => place + by : (place, by) => placeAmong(spentBy(), place, by);
    scrub({ first, last: end, total: description.budget, at: state.at, marks: [], move }, theme);
    root.dataset.at = String(state.at ?? "now");
    for (const draw of views) draw({ ...turned(), at: state.at }, theme);
    stream.drawn();
  });
  /** @type {(event: any) => void} */
  const choose = (event) => {
    if (event.target.closest(".naslab-lab") !== root.closest(".naslab-lab")) return;
    state.chosen = event.detail;
    drawer.redraw();
  };
  document.addEventListener("naslab-choice", choose);
  const stream = connect(
    model,
    (/** @type {BandsMessage} */ _) => true,
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
