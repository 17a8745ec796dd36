// The best and the latest trials in a table that sorts by any column.

import { make } from "./elements.js";
import { digits, number, scaleOf } from "./numbers.js";
import { isStopped } from "./trial_queries.js";
/** @import { Choose, Columns, DrawTrials, Row, Timer, TrialsDescription, TrialsState } from "./types.js" */

/**
 * The table of trials.
 * @param {HTMLElement} parent
 * @param {Columns} C
 * @param {Pick<TrialsDescription, "listed">} description
 * @param {Choose} choose
 * @returns {DrawTrials}
 */
export function tableView(parent, C, description, choose) {
  const head = make("div", "naslab-head", parent);
  make("h4", "", head, "evaluations");
  const note = make("span", "naslab-facts", head);
  const frame = make("div", "naslab-scroll", parent);
  const table = make("table", "naslab-trials-table", frame);
  const header = make("tr", "", make("thead", "", table));
  const body = make("tbody", "", table);
  let order = { name: "evaluation", descending: true };
  /** @type {TrialsState} */
  let state;
  /** @type {unknown[]} */
  let written = [];
  let writtenAt = -Infinity;
  /** @type {Timer | undefined} */
  let later;
  let again = () => {}; // the same table once more
  let headed = ""; // what the header was made from
  const SELDOM = 500; // ms between two tables that differ only by new trials: layout is expensive
  const HELD = 100; // ms until a table with a pressed row is tried again: a row that is made anew gets no click

  /** @type {(row: Row) => string} */
  const status = (row) => (Number.isNaN(row[C.fitness]) ? (state.notes.get(row[C.number])?.status ?? "failed") : isStopped(row, state, C) ? "stopped" : state.continued.has(row[C.number]) ? "trained on" : "done");
  // A fitness as the value of its objective.
  /** @type {(fitness: number) => number} */
  const own = (fitness) => (state.status.objective?.sign ?? 1) * scaleOf(state.status.objective?.unit) * fitness;
  /** @type {(name: string) => string} */
  const titleOf = (name) => (name === "fitness" ? (state.status.objective?.title ?? name) : name);
  /** @type {(name: string) => boolean} */
  const smallFirst = (name) => ["regret", "true rank"].includes(name) || (name === "fitness" && (state.status.objective?.sign ?? 1) < 0);
  /**
   * @typedef {object} Column
   * @property {string} name
   * @property {(row: Float64Array) => any} of The value of a trial.
   * @property {(value: any, row: Float64Array) => string} [show] The text of that value.
   * @property {(row: Float64Array) => number | boolean} [when] Shown only where this is above 0 for a trial.
   * @property {boolean} [optional] Shown only where the value is above 0 for a trial.
   */
  /** @type {Column[]} */
  const columns = [
    { name: "evaluation", of: (row) => row[C.number] },
    { name: "candidate", of: (row) => row[C.candidate], when: (row) => row[C.stage] > 0 },
    { name: "status", of: status },
    { name: "fitness", of: (row) => own(row[C.fitness]), show: (value) => digits(value, 6) },
    { name: "fidelity", of: (row) => row[C.fidelity], optional: true },
    { name: "origin", of: (row) => state.status.origins[row[C.origin]]?.[0] || "" },
    { name: "parents", of: (row) => row[C.parent], show: (_, row) => [row[C.parent], row[C.second_parent]].filter(Number.isFinite).join(", "), optional: true },
    { name: "generation", of: (row) => row[C.generation], optional: true },
    { name: "true rank", of: (row) => row[C.rank], show: (value) => (Number.isNaN(value) ? "–" : value.toLocaleString("en")), optional: true },
    { name: "regret", of: (row) => row[C.regret], optional: true },
  ];

  // The page always knows the best and the latest of all trials.
  function listed() {
    const rows = state.trials;
    /** @type {(row: Row) => number} */
    const worth = (row) => (Number.isNaN(row[C.fitness]) ? -Infinity : row[C.fitness]);
    const best = [...rows].sort((a, b) => worth(b) - worth(a)).slice(0, description.listed);
    return [...new Set([...rows.slice(-description.listed), ...best])];
  }

  /** @type {(a: any, b: any) => number} */
  function compare(a, b) {
    /** @type {(value: unknown) => boolean} */
    const missing = (value) => value === undefined || Number.isNaN(value);
    if (missing(a) || missing(b)) return Number(missing(a)) - Number(missing(b)); // always at the end
    const less = a < b ? -1 : a > b ? 1 : 0;
    return order.descending ? -less : less;
  }

  /** @type {DrawTrials} */
  function draw(now, theme, chosen) {
    state = now;
    parent.style.display = state.trials.length ? "" : "none";
    clearTimeout(later);
    const mark = [`${state.version} ${state.status.objective?.title}`, state.notes.size, order.name, order.descending, chosen];
    if (mark.join() === written.join()) return;
    const wait = Math.max(writtenAt + SELDOM - performance.now(), table.matches(":active") ? HELD : 0);
    if (wait > 0 && mark.slice(2).join() === written.slice(2).join()) {
      later = setTimeout(() => draw(state, theme, chosen), wait);
      return;
    }
    written = mark;
    writtenAt = performance.now();
    again = () => draw(state, theme, chosen);
    const rows = listed();
    const figures = [...new Set(rows.flatMap((row) => Object.keys(state.notes.get(row[C.number])?.figures || {})))].slice(0, 8);
    /** @type {Column[]} */
    const shown = [
      ...columns.filter(({ of, optional, when = optional && of }) => !when || rows.some((row) => when(row) > 0)),
      ...figures.map((name) => ({ name, of: (/** @type {Row} */ row) => state.notes.get(row[C.number])?.figures[name] })),
    ];
    const by = shown.find(({ name }) => name === order.name) || shown[0];
    rows.sort((a, b) => compare(by.of(a), by.of(b)) || b[C.number] - a[C.number]);
    note.textContent = rows.length < state.status.step ? `the ${description.listed} best and the last ${description.listed}` : "";
    const heads = JSON.stringify(shown.map(({ name }) => [name, titleOf(name), name === by.name && order.descending, by.name]));
    if (heads !== headed) drawHeader(shown, by);
    headed = heads;
    const lines = rows.map((row) => {
      const line = make("tr", row[C.number] === chosen ? "naslab-chosen" : "");
      line.dataset.number = String(row[C.number]);
      for (const { of, show } of shown) {
        const value = of(row);
        make("td", typeof value === "string" ? "naslab-word" : "", line, show ? show(value, row) : typeof value === "string" ? value : number(value));
      }
      const message = state.notes.get(row[C.number])?.message;
      if (message) line.title = message;
      return line;
    });
    body.replaceChildren(...lines);
  }

  /**
   * A button for each column; the one that has the focus keeps it.
   * @param {Column[]} shown
   * @param {Column} by The column that sorts.
   */
  function drawHeader(shown, by) {
    const focused = document.activeElement?.closest("th");
    const name = focused && header.contains(focused) ? focused.dataset.name : undefined;
    header.replaceChildren();
    for (const column of shown) {
      const cell = make("th", "", header);
      const arrow = column === by ? (order.descending ? " ▾" : " ▴") : "";
      cell.dataset.name = column.name;
      cell.setAttribute("aria-sort", column === by ? (order.descending ? "descending" : "ascending") : "none");
      const button = make("button", "naslab-link", cell, titleOf(column.name) + arrow);
      button.addEventListener("click", () => {
        order = { name: column.name, descending: column === by ? !order.descending : !smallFirst(column.name) };
        again();
      });
      if (column.name === name) button.focus({ preventScroll: true });
    }
  }

  body.addEventListener("click", (event) => {
    const line = /** @type {Element} */ (event.target).closest("tr");
    if (line) choose(Number(line.dataset.number));
  });
  return draw;
}
