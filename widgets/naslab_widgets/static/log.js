// The log of a search below the pictures, and the notes on its task.

import { make } from "./elements.js";
/** @import { LogLine, LoggedStatus } from "./types.js" */

/**
 * The last lines of the log up to a step.
 * @param {{log: LogLine[], marks?: [step: number, text: string][]}} status
 * @param {number | null} at
 * @param {number} [most]
 * @returns {LogLine[]}
 */
export function logAt({ log, marks }, at, most = 4) {
  if (at === null) return log;
  const lines = log.filter(({ step }) => step <= at);
  const known = new Set(lines.map(({ step, text }) => `${step} ${text}`));
  const more = (marks || []).filter(([step, text]) => step <= at && !known.has(`${step} ${text}`));
  return [...more.map(([step, text]) => ({ step, text })), ...lines].sort((a, b) => a.step - b.step).slice(-most);
}

/**
 * Notes on the task, which belong beside every result.
 * @param {HTMLElement} parent
 * @param {string[] | undefined} notes
 */
export function notesView(parent, notes) {
  for (const note of notes || []) make("div", "naslab-notes", parent, note);
}

/**
 * The last lines of the log, the newest first.
 * @param {HTMLElement} parent
 * @returns {(state: {status: Pick<LoggedStatus, "log" | "marks">, at?: number | null}) => void}
 */
export function logView(parent) {
  const box = make("div", "naslab-log", parent);
  return function draw({ status, at = null }) {
    box.replaceChildren();
    for (const { step, text, error } of [...logAt(status, at)].reverse()) {
      const line = make("div", error ? "naslab-error" : "", box);
      make("b", "", line, `step ${step}`);
      make("span", "", line, text);
    }
  };
}
