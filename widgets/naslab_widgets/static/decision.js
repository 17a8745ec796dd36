// The sheet of one decision: how likely each of its options has become, the entropy, and the values that a searcher learns.

import { widened } from "./axis.js";
import { make } from "./elements.js";
import { number } from "./numbers.js";
import { makeSheet } from "./sheet.js";
import { stepPlot } from "./step_plot.js";
/** @import { Colours, DecisionState, Go, Theme, Timer, TrialsState } from "./types.js" */

const AGAIN = 1500; // milliseconds between two questions for the same decision while the search goes on
/**
 * The columns of a matrix.
 * @template T
 * @param {T[][]} rows
 * @returns {T[][]}
 */
export const columnsOf = (rows) => (rows.length ? rows[0].map((_, i) => rows.map((row) => row[i])) : []);

/**
 * How sure a policy is: its entropy beside that of one that has learnt nothing.
 * @param {number} entropy
 * @param {number} most
 * @returns {string}
 */
export function entropyText(entropy, most) {
  if (!(most > 0)) return "there is one option only";
  return `entropy ${number(entropy)} of ${number(most)} nats, ${Math.round((100 * entropy) / most)} % of uniform`;
}

/**
 * The top of the axis of the probabilities: as much as is needed, and at least twice what nothing learnt is worth.
 * @param {Pick<DecisionState, "probabilities" | "uniform">} decision
 * @returns {number}
 */
export const mostLikely = ({ probabilities, uniform }) => Math.min(1, Math.max(2 * uniform, ...probabilities.flat()));

/**
 * Where among the steps somebody looks: the last one that is not after that moment; the first before all.
 * @param {number[]} steps
 * @param {number | null | undefined} at
 * @returns {number}
 */
export function placeAt(steps, at) {
  if (at === null || at === undefined) return steps.length - 1;
  const after = steps.findIndex((step) => step > at);
  return after < 0 ? steps.length - 1 : Math.max(0, after - 1);
}

/**
 * The sheet beside the heat map that was clicked.
 * @param {HTMLElement} root
 * @param {{hues: Colours[], look: (name: string) => void, go: Go, redraw: () => void}} context
 * @returns {{open: (name: string) => void, draw: (state: TrialsState, theme: Theme) => void, close: () => void}}
 */
export function decisionView(root, { hues, look, go, redraw }) {
  const { box, title, close } = makeSheet(root, "naslab-decision");
  const refused = make("div", "naslab-sheet-note", box);
  refused.setAttribute("role", "status");
  const body = make("div", "", box);
  const list = make("table", "naslab-decision-options", body);
  const likely = stepPlot(body, "probability of each option; dashed: while nothing is learnt", go);
  const sure = make("div", "naslab-plot-title", body);
  const entropy = stepPlot(body, "", go);
  const worth = stepPlot(body, "value of each option", go);
  /** @type {string | null} */
  let name = null;
  let askedAt = -Infinity;
  /** @type {number | null} */
  let askedFor = null; // the step of the search then
  let focusAfter = false;
  /** @type {Timer | undefined} */
  let later;

  /** @type {(asked: string) => void} */
  function open(asked) {
    name = asked;
    focusAfter = true;
    [askedAt, askedFor] = [performance.now(), null];
    look(name);
    redraw();
  }

  const ringOf = () => [.../** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll(".naslab-heat-ring"))].find((ring) => ring.dataset.decision === name);

  function shut() {
    const was = ringOf();
    name = null;
    redraw();
    was?.focus({ preventScroll: true });
  }
  close.addEventListener("click", shut);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    event.preventDefault();
    event.stopPropagation();
    shut();
  });

  // What Python told is of the step at which it was asked: it is asked again, seldom, as the search goes on.
  /** @type {(step: number) => void} */
  function askAgain(step) {
    askedFor ??= step;
    if (step === askedFor) return;
    const wait = askedAt + AGAIN - performance.now();
    if (wait > 0) {
      later ??= setTimeout(() => ((later = undefined), redraw()), wait);
      return;
    }
    [askedAt, askedFor] = [performance.now(), step];
    if (name !== null) look(name);
  }

  /** @type {(state: TrialsState, theme: Theme) => void} */
  function draw(state, theme) {
    box.style.display = name === null ? "none" : "";
    if (name === null) return;
    askAgain(state.status.step);
    const told = state.sections.decision?.name === name ? state.sections.decision : null;
    title.textContent = state.questions[name] ?? name;
    box.setAttribute("aria-label", title.textContent);
    box.dataset.decision = name;
    refused.textContent = told?.refused || "";
    refused.style.display = told?.refused ? "" : "none";
    body.style.display = told && !told.refused ? "" : "none";
    if (told && !told.refused) drawTold(told, state, theme);
    place(ringOf());
    if (focusAfter) close.focus({ preventScroll: true });
    focusAfter = false;
  }

  /** @type {(told: DecisionState, state: TrialsState, theme: Theme) => void} */
  function drawTold(told, state, theme) {
    const at = placeAt(told.steps, state.at);
    const step = told.steps[at];
    const options = told.probabilities[at].map((_, i) => state.options[told.name]?.[i] ?? `option ${i + 1}`);
    const colours = options.map((_, i) => hues[i % hues.length][theme.dark ? 1 : 0]);
    list.replaceChildren();
    options.forEach((option, i) => {
      const row = make("tr", "", list);
      make("i", "", make("td", "", row)).style.background = colours[i];
      make("th", "", row, option);
      make("td", "", row, number(told.probabilities[at][i]));
      if (told.values) make("td", "", row, `value ${number(told.values[at][i] ?? NaN)}`);
    });
    const shown = { steps: told.steps, step, theme, colours };
    likely({ ...shown, lists: columnsOf(told.probabilities), range: [0, mostLikely(told)], mark: told.uniform });
    sure.textContent = entropyText(told.entropy[at], told.most);
    entropy({ ...shown, lists: [told.entropy], colours: ["currentColor"], range: [0, Math.max(told.most, 1e-9)], mark: told.most });
    const values = (told.values ?? []).flat().filter((value) => value !== null).filter(Number.isFinite);
    worth(told.values && values.length ? { ...shown, lists: columnsOf(told.values), range: widened(Math.min(...values), Math.max(...values), 0.03) } : null);
    box.dataset.step = String(told.steps[told.steps.length - 1]);
  }

  // Beside the row that was clicked, on the other side, and as far up as it must to end with the view.
  /** @type {(ring: HTMLElement | undefined) => void} */
  function place(ring) {
    if (!ring) return;
    const heat = /** @type {HTMLElement} */ (ring.offsetParent);
    const right = ring.offsetLeft + ring.offsetWidth / 2 > heat.offsetWidth / 2;
    const room = root.clientHeight - box.offsetHeight;
    Object.assign(box.style, { left: right ? "0" : "auto", right: right ? "auto" : "0" });
    box.style.top = `${Math.max(0, Math.min(heat.offsetTop + ring.offsetTop, room))}px`;
  }

  return { open, draw, close: () => clearTimeout(later) };
}
