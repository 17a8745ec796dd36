// What the evaluations of a search are called, and the lines of their tooltip.

import { number, fitnessText } from "./numbers.js";
import { isStopped } from "./trial_queries.js";
/** @import { Columns, Row, TooltipLine, TrialsState, Truth } from "./types.js" */

/**
 * 1st, 2nd, 3rd, 4th, ...
 * @param {number} count
 * @returns {string}
 */
export function ordinal(count) {
  const teen = count % 100 > 10 && count % 100 < 14;
  return `${count}${(!teen && ["", "st", "nd", "rd"][count % 10]) || "th"}`;
}

/**
 * The name of an evaluation: "evaluation 30" or, if it continues a training, "evaluation 35: candidate 33, 2nd training".
 * @param {{number: number, candidate: number, stage: number}} row
 * @returns {string}
 */
export function evaluationName({ number, candidate, stage }) {
  return `evaluation ${number}` + (stage > 0 ? `: candidate ${candidate}, ${ordinal(stage + 1)} training` : "");
}

/**
 * The name of the evaluation in a row of the trials.
 * @param {Row} row
 * @param {Columns} C
 * @returns {string}
 */
export const trialName = (row, C) => evaluationName({ number: row[C.number], candidate: row[C.candidate], stage: row[C.stage] });

/**
 * The lines of the tooltip of a trial.
 * @param {Row} row
 * @param {TrialsState} state
 * @param {Columns} C
 * @param {Truth | null} truth
 * @param {string} colour
 * @returns {TooltipLine[]}
 */
export function trialLines(row, state, C, truth, colour) {
  const failed = Number.isNaN(row[C.fitness]);
  return [
    { text: trialName(row, C), strong: true },
    { text: state.status.origins[row[C.origin]]?.[0] || "", colour },
    { text: failed ? "failed" : `${state.status.objective?.name || "fitness"} ${fitnessText(row[C.fitness], state.status.objective, 6)}` },
    ...(Number.isFinite(row[C.fidelity]) ? [{ text: `fidelity ${number(row[C.fidelity])}` }] : []),
    ...(isStopped(row, state, C) ? [{ text: Number.isFinite(row[C.hurdle]) ? `stopped by the hurdle ${fitnessText(row[C.hurdle], state.status.objective, 4)}` : "not trained on" }] : []),
    ...(truth && Number.isFinite(row[C.rank]) ? [{ text: `true rank ${row[C.rank].toLocaleString("en")} of ${truth.candidates.toLocaleString("en")}, regret ${number(row[C.regret])}` }] : []),
    ...(Number.isFinite(row[C.parent]) && !(row[C.stage] > 0) ? [{ text: `from evaluation ${[row[C.parent], row[C.second_parent]].filter(Number.isFinite).join(" and ")}` }] : []),
  ];
}
