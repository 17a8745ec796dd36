// The ranking that shared weights give, against the truth of a table: three charts, and a headline.

import { bus } from "./bus.js";
import { derivedChart } from "./derived_worth.js";
import { keepKeys, make } from "./elements.js";
import { momentOf } from "./moment.js";
import { correlationChart } from "./rank_correlation.js";
import { keepDrawn } from "./redraw.js";
import { rowsUntil } from "./rows.js";
import { scatterChart } from "./score_scatter.js";
import { makeTooltip } from "./tooltip.js";
import { connect, unpack } from "./wire.js";
/** @import { Go, RankingMessage, RankingState, Widget } from "./types.js" */

/**
 * @param {Widget} widget
 */
function render({ model, el }) {
  const about = model.get("description");
  const root = make("div", "naslab naslab-ranking", el);
  keepKeys(root);
  const card = make("section", "naslab-card", root);
  const headline = make("h4", "", card);
  const story = make("div", "naslab-ranking-story", card);
  const grid = make("div", "naslab-ranking-charts", card);
  const tooltip = makeTooltip(root);
  /** @type {RankingState} */
  const state = { rows: [], path: [], status: { end: 0, total: null, headline: "", story: "", turn: null } };
  /** @type {number | null} */
  let shown = null; // the step of the ranking under the pointer
  const cursor = bus(about.panel);
  /** @type {Go} */
  const go = (step) => cursor.set({ at: momentOf(step, state.status.end) });

  const charts = [
    correlationChart(grid, about, tooltip, (step) => ((shown = step), page.redraw()), go),
    derivedChart(grid, about, tooltip, go),
    scatterChart(grid, about, tooltip),
  ];
  const page = keepDrawn(root, (theme) => {
    headline.textContent = state.status.headline;
    story.textContent = state.status.story;
    const { at } = cursor;
    const row = state.rows.find(([step]) => step === shown) || rowsUntil(state.rows, at).at(-1);
    for (const draw of charts) draw({ ...state, at }, row, theme);
    root.dataset.at = String(at ?? "now");
    wire.drawn();
  });
  /** @type {(message: RankingMessage) => boolean} */
  const opens = (message) => message.type === "ranking"; // every message is complete except for rankings already sent
  const wire = connect(model, opens, (message, buffers) => {
    state.path = unpack(buffers[0], 4);
    if (message.rows) state.rows = unpack(buffers[1], about.scores + about.truth.length);
    state.status = message.status;
    page.redraw();
  });
  const unsubscribe = cursor.on(page.redraw);
  return () => {
    unsubscribe();
    wire.close();
    page.close();
  };
}

export default { render };
