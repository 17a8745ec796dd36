// The sheet of one decision: how likely each of its options has become, the entropy, and the values that a searcher learns.

import { widened } from "./axis.js";
import { make } from "./elements.js";
import { number } from "./numbers.js";
import { makeSheet } from "./sheet.js";
import { stepPlot } from "./step_plot.js";
/** @import { Colours, DecisionState, Go, Theme, Timer, TrialsState } from "./types.js" */

const AGAIN = 1500; // ms between two requests for the same decision while the search runs
/**
 * The columns of a matrix.
 * @template T
 * @param {T[][]} rows
 * @returns {T[][]}
 */
export const columnsOf = (rows) => (rows.length ? rows[0].map((_, i) => rows.map((row) => row[i])) : []);

/**
 * The entropy of a policy, and its share of the uniform policy's entropy.
 * @param {number} entropy
 * @param {number} most
 * @returns {string}
 */
export function entropyText(entropy, most) {
  if (!(most > 0)) return "there is one option only";
  return `entropy ${number(entropy)} of ${number(most)} nats, ${Math.round((100 * entropy) / most)} % of uniform`;
}

/**
 * The top of the axis of probabilities: the largest of them, and at least twice the uniform probability.
 * @param {Pick<DecisionState, "probabilities" | "uniform">} decision
 * @returns {number}
 */
export const mostLikely = ({ probabilities, uniform }) => Math.min(1, Math.max(2 * uniform, ...probabilities.flat()));

/**
 * The index of the last step that is not after a moment; 0 if all are.
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
  let askedFor = null; // the step of the search at that request
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

  // An answer covers the steps up to its request, so it is requested again, seldom, as the search runs.
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
    const answer = state.sections.decision?.name === name ? state.sections.decision : null;
    title.textContent = state.questions[name] ?? name;
    box.setAttribute("aria-label", title.textContent);
    box.dataset.decision = name;
    refused.textContent = answer?.refused || "";
    refused.style.display = answer?.refused ? "" : "none";
    body.style.display = answer && !answer.refused ? "" : "none";
    if (answer && !answer.refused) drawAnswer(answer, state, theme);
    place(ringOf());
    if (focusAfter) close.focus({ preventScroll: true });
    focusAfter = false;
  }

  /** @type {(answer: DecisionState, state: TrialsState, theme: Theme) => void} */
  function drawAnswer(answer, state, theme) {
    const at = placeAt(answer.steps, state.at);
    const step = answer.steps[at];
    const options = answer.probabilities[at].map((_, i) => state.options[answer.name]?.[i] ?? `option ${i + 1}`);
    const colours = options.map((_, i) => hues[i % hues.length][theme.dark ? 1 : 0]);
    list.replaceChildren();
    options.forEach((option, i) => {
      const row = make("tr", "", list);
      make("i", "", make("td", "", row)).style.background = colours[i];
      make("th", "", row, option);
      make("td", "", row, number(answer.probabilities[at][i]));
      if (answer.values) make("td", "", row, `value ${number(answer.values[at][i] ?? NaN)}`);
    });
    const shown = { steps: answer.steps, step, theme, colours };
    likely({ ...shown, lists: columnsOf(answer.probabilities), range: [0, mostLikely(answer)], mark: answer.uniform });
    sure.textContent = entropyText(answer.entropy[at], answer.most);
    entropy({ ...shown, lists: [answer.entropy], colours: ["currentColor"], range: [0, Math.max(answer.most, 1e-9)], mark: answer.most });
    const values = (answer.values ?? []).flat().filter((value) => value !== null).filter(Number.isFinite);
    worth(answer.values && values.length ? { ...shown, lists: columnsOf(answer.values), range: widened(Math.min(...values), Math.max(...values), 0.03) } : null);
    box.dataset.step = String(answer.steps[answer.steps.length - 1]);
  }

  // Beside the clicked heat map, on the free side, and high enough to stay inside the view.
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
