// Questions about trials: how they stood at a moment, which were stopped, and the ancestors of one.

/** @import { Columns, Row, TrialsState } from "./types.js" */

/**
 * What differs from now at an earlier step: the trials until then, which of them had been continued, and the best. Python's
 * answer about that step counts more than the rows that the page keeps.
 * @param {Pick<TrialsState, "byNumber" | "past" | "status" | "version">} state
 * @param {number | null} at
 * @param {Columns} C
 * @returns {Partial<TrialsState>}
 */
export function trialsAt(state, at, C) {
  if (at === null) return {};
  const past = state.past?.step === at ? state.past : null;
  const known = new Map(state.byNumber);
  for (const row of past?.near || []) known.set(row[C.number], row);
  const trials = [...known.values()].filter((row) => row[C.step] <= at).sort((a, b) => a[C.step] - b[C.step]);
  const latest = new Map();
  const continued = new Set();
  let best = null;
  for (const row of trials) {
    if (latest.has(row[C.candidate])) continued.add(latest.get(row[C.candidate])[C.number]);
    latest.set(row[C.candidate], row);
    if (Number.isFinite(row[C.fitness]) && !(best && row[C.fitness] <= best[C.fitness])) best = row;
  }
  const number = past ? past.best : (best?.[C.number] ?? null);
  const status = { ...state.status, step: at, best: number === null ? null : { ...state.status.best, number }, child: past?.child ?? state.status.child };
  return { at, trials, continued, status, version: `${state.version} at ${at} ${Boolean(past)}` };
}

/**
 * True if a trial was not trained on although others were; where there are hurdles, because it missed its own.
 * @param {Row} row
 * @param {Pick<TrialsState, "continued" | "hurdled" | "longest">} state
 * @param {Columns} C
 * @returns {boolean}
 */
export function isStopped(row, state, C) {
  if (state.continued.has(row[C.number])) return false;
  return state.hurdled ? row[C.missed] === 1 : row[C.fidelity] < state.longest;
}

/**
 * The rows of a trial and its ancestors: Python's, if it has sent them, or those that this page knows.
 * @param {Pick<TrialsState, "candidate" | "byNumber">} state
 * @param {number} chosen
 * @param {Columns} C
 * @returns {Row[]}
 */
export function ancestryOf(state, chosen, C) {
  if (state.candidate && state.candidate.selected === chosen) return state.candidate.ancestry;
  const found = new Map();
  const queue = [chosen];
  for (const key of queue) {
    const row = state.byNumber.get(key);
    if (!row || found.has(key)) continue;
    found.set(key, row);
    queue.push(row[C.parent], row[C.second_parent]);
  }
  return [...found.values()];
}
