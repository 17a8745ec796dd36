// The view of a search of trials: fitness beside the chosen trial, families, decisions, the table, the log.

import { bus } from "./bus.js";
import { candidateView } from "./candidate.js";
import { decisionView } from "./decision.js";
import { detailsView } from "./details.js";
import { keepKeys, make } from "./elements.js";
import { familyView } from "./family.js";
import { fitnessView } from "./fitness.js";
import { decisionsView } from "./heat.js";
import { logView, notesView } from "./log.js";
import { momentOf } from "./moment.js";
import { whenAtRest } from "./pace.js";
import { portraitView } from "./portrait.js";
import { keepDrawn } from "./redraw.js";
import { followTrials } from "./stream.js";
import { supernetView } from "./supernet.js";
import { tableView } from "./table.js";
import { makeTooltip } from "./tooltip.js";
import { trialsAt } from "./trial_queries.js";
/** @import { CandidateMessage, Choose, Columns, Go, Send, Timer, TrialsDescription, TrialsState, Widget } from "./types.js" */

/**
 * @param {Widget} widget
 */
function render({ model, el }) {
  /** @type {TrialsDescription} */
  const description = model.get("description");
  const C = /** @type {Columns} */ (Object.fromEntries(description.columns.map((name, column) => [name, column])));
  const root = make("div", "naslab naslab-trials", el);
  keepKeys(root);
  const tooltip = makeTooltip(root);
  /** @type {number | null} */
  let chosen = null; // by a click; null shows the best
  /** @type {number | null} */
  let asked = null;
  let askedAt = -Infinity;
  /** @type {Timer | undefined} */
  let later;
  const cursor = bus(description.panel);
  /** @type {Go} */
  const go = (step) => cursor.set({ at: momentOf(step, stream.state.status.step, stream.state.status.since ?? 1) });
  /** @type {Partial<TrialsState>} */
  let then = {};
  /** @type {TrialsState} */
  let shown; // the trials at the moment that is shown
  let shownFor = "";

  // Requests what the page does not keep for every step: all rows of a long search, the child in the supernet.
  function lookBack() {
    const { state } = stream;
    const { at } = cursor;
    const wanted = at !== null && (state.tables.trials?.stride > 1 || Boolean(state.status.child));
    rest.at(at, wanted && state.past?.step !== at);
    const now = `${at} ${state.version} ${state.past?.step} ${at === null ? "" : state.status.failed}`;
    if (shownFor !== now) then = trialsAt(state, at, C);
    shownFor = now;
    shown = { ...state, ...then };
  }

  // A number chooses that trial, null the best; undefined only redraws.
  /** @type {Choose} */
  function choose(number) {
    if (number !== undefined && number !== chosen) {
      chosen = number;
      ask(number ?? shown.status.best?.number ?? null);
    }
    page.redraw();
  }

  /** @type {(number: number | null) => void} */
  function ask(number) {
    [asked, askedAt] = [number, performance.now()];
    model.send({ type: "select", number, chosen: chosen !== null });
  }

  // Without a choice, the portrait follows the best trial, at most once a second.
  function followBest() {
    const best = shown.status.best?.number;
    if (chosen !== null || best === undefined || best === asked) return;
    const wait = askedAt + 1000 - performance.now();
    if (wait <= 0) ask(best);
    else later ??= setTimeout(() => ((later = undefined), followBest()), wait);
  }

  // Python keeps the choice, so that a reloaded page or a second view shows it as well.
  /** @param {CandidateMessage} answer */
  function answered({ selected, chosen: clicked }) {
    asked = selected;
    chosen = clicked ? selected : null;
  }

  const main = make("div", "naslab-main", root);
  /** @type {(name: string, box?: HTMLElement) => HTMLElement} */
  const card = (name, box = root) => make("section", `naslab-card ${name}`, box);
  // Views marked true keep their full length, with a line at the moment; the others show the search as it was then.
  const fitness = card("naslab-fitness-card", main);
  const portrait = card("naslab-portrait", main);
  /** @type {Send} */
  const act = (message) => model.send({ type: "section", section: "candidate", ...message });
  /** @type {[Function, boolean][]} */
  const views = [
    [fitnessView(fitness, C, description.truth, tooltip, choose, go), true],
    [portraitView(portrait, C, description.truth, choose), false],
    [candidateView(portrait, description.sections.candidate, act, choose), false],
    [supernetView(card("naslab-supernet-card"), description.hues), false],
    [familyView(card("naslab-family-card"), C, description, tooltip, choose, go), true],
    [detailsView(card("naslab-figures-card"), description.charts, tooltip, go), true],
    [decisionsView(card("naslab-decisions-card"), description, tooltip, go, (name) => sheet?.open(name)), true],
    [tableView(card("naslab-table-card"), C, description, choose), false],
  ];
  /** @type {(name: string) => void} */
  const look = (name) => model.send({ type: "section", section: "decision", do: "open", name });
  const sheet = description.sections.decision ? decisionView(root, { hues: description.hues, look, go, redraw: () => page.redraw() }) : null;
  if (sheet) views.push([sheet.draw, true]);
  notesView(root, description.notes);
  const log = logView(root);

  const page = keepDrawn(root, (theme) => {
    lookBack();
    followBest();
    const all = { ...stream.state, at: cursor.at, best: shown.status.best };
    for (const [draw, whole] of views) draw(whole ? all : shown, theme, chosen);
    log({ status: stream.state.status, at: cursor.at });
    root.dataset.at = String(cursor.at ?? "now");
    root.dataset.chosen = String(chosen ?? "");
    stream.drawn();
  });
  const stream = followTrials(model, C, page.redraw, answered);
  const rest = whenAtRest((step) => model.send({ type: "moment", step }));
  const unsubscribe = cursor.on(page.redraw);
  return () => {
    unsubscribe();
    rest.close();
    clearTimeout(later);
    sheet?.close();
    stream.close();
    page.close();
  };
}

export default { render };
