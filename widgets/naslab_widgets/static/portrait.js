// The chosen trial, or else the best one: its cell as a picture, its numbers and its choices.

import { make, placePicture } from "./elements.js";
import { number, fitnessText } from "./numbers.js";
import { trialName } from "./words.js";
/** @import { Choose, Columns, DrawTrials, Portrait, Truth } from "./types.js" */

/**
 * The picture of a trial, its numbers and its choices.
 * @param {HTMLElement} parent
 * @param {Columns} C
 * @param {Truth | null} truth
 * @param {Choose} choose
 * @returns {DrawTrials}
 */
export function portraitView(parent, C, truth, choose) {
  const head = make("div", "naslab-head", parent);
  const title = make("h4", "", head);
  const clear = make("button", "naslab-clear", head, "back to the best");
  const picture = make("div", "naslab-picture", parent);
  const facts = make("table", "naslab-facts-table", parent);
  const choices = make("details", "", parent);
  make("summary", "", choices, "choices");
  const list = make("table", "naslab-facts-table", choices);
  /** @type {Portrait | null} */
  let shown = null;
  clear.addEventListener("click", () => choose(null));

  /** @type {(table: HTMLElement, name: string, value: string | Node) => void} */
  function line(table, name, value) {
    const row = make("tr", "", table);
    make("th", "", row, name);
    const cell = make("td", "", row);
    cell.append(value);
  }

  /** @type {(numbers: number[]) => DocumentFragment} */
  function links(numbers) {
    const box = document.createDocumentFragment();
    for (const each of numbers) make("button", "naslab-link", box, String(each)).addEventListener("click", () => choose(each));
    return box;
  }

  return function draw(state, _, chosen) {
    const trial = state.candidate;
    parent.style.display = trial || state.trials.length ? "" : "none";
    clear.style.display = chosen === null ? "none" : "";
    const row = trial && (trial.ancestry[0] ?? state.byNumber.get(trial.selected));
    if (!row || trial === shown) return;
    shown = trial;
    title.textContent = trialName(row, C);
    placePicture(picture, trial.picture);
    facts.replaceChildren();
    const failed = Number.isNaN(row[C.fitness]);
    const objective = state.status.objective;
    line(facts, objective?.name || "fitness", failed ? trial.status : fitnessText(row[C.fitness], objective, 6));
    line(facts, "origin", state.status.origins[row[C.origin]]?.[0] || "");
    if (trial.parents.length) line(facts, trial.parents.length > 1 ? "parents" : "parent", links(trial.parents));
    if (Number.isFinite(row[C.parent])) line(facts, "ancestors", String(trial.ancestry.length - 1));
    if (Number.isFinite(row[C.fidelity])) line(facts, "fidelity", number(row[C.fidelity]));
    if (Number.isFinite(row[C.hurdle])) line(facts, "hurdle", fitnessText(row[C.hurdle], objective, 4));
    if (truth && Number.isFinite(row[C.rank])) {
      line(facts, "true rank", `${row[C.rank].toLocaleString("en")} of ${truth.candidates.toLocaleString("en")}`);
      line(facts, `true regret (${truth.metric})`, number(row[C.regret]));
    }
    for (const [name, value] of Object.entries(trial.figures)) line(facts, name, number(value));
    if (trial.message) line(facts, "message", trial.message);
    list.replaceChildren();
    for (const [name, value] of trial.choices) line(list, name, value);
    choices.style.display = trial.choices.length ? "" : "none";
    parent.dataset.number = String(trial.selected);
  };
}
