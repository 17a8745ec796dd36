// The rows of a search's steps: kept from the messages of Python, and looked up by step.

import { connect, unpack } from "./wire.js";
/** @import { Connection, MomentMessage, RowsMessage, RowsState } from "./types.js" */

export const MOST_ROWS = 4000;

/**
 * Keeps the rows that Python sends, thinned to at most MOST_ROWS, and `near`, all rows around the step last asked for.
 * @param {Connection} model
 * @param {number} width
 * @param {() => void} changed
 * @returns {{state: RowsState, drawn: () => void, close: () => void}}
 */
export function followRows(model, width, changed) {
  /** @type {RowsState} */
  const state = { rows: [], near: [], sections: {}, status: { state: "idle", step: 0, total: null, log: [], marks: [] } };
  /** @type {(message: RowsMessage | MomentMessage) => boolean} */
  const opens = (message) => message.type === "snapshot";
  const { drawn, close } = connect(model, opens, (message, buffers) => {
    if (message.type === "moment") {
      state.near = unpack(buffers[0], width);
      return changed();
    }
    if (opens(message)) [state.rows, state.near] = [unpack(buffers[0], width), []];
    else state.rows.push(...unpack(buffers[0], width));
    state.status = message.status;
    if (opens(message)) state.sections = {};
    Object.assign(state.sections, message.sections);
    if (state.rows.length > MOST_ROWS) state.rows = state.rows.filter((_, i) => i % 2 === 0 || i === state.rows.length - 1);
    changed();
  });
  return { state, drawn, close };
}

/**
 * The row whose step is nearest to a given one (binary search).
 * @template {ArrayLike<number>} R
 * @param {R[]} rows
 * @param {number} step
 * @returns {R}
 */
export function nearestRow(rows, step) {
  let low = 0;
  let high = rows.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (rows[middle][0] < step) low = middle;
    else high = middle;
  }
  return step - rows[low][0] < rows[high][0] - step ? rows[low] : rows[high];
}

/**
 * The row of a moment: the nearest of those that the page keeps and of `near`; the last one for now.
 * @template {ArrayLike<number>} R
 * @param {R[]} rows
 * @param {R[]} near
 * @param {number | null} at
 * @returns {R | undefined}
 */
export function momentRow(rows, near, at) {
  if (!rows.length) return undefined;
  if (at === null) return rows[rows.length - 1];
  const kept = nearestRow(rows, at);
  if (kept[0] === at || !near.length) return kept;
  const asked = nearestRow(near, at);
  return Math.abs(asked[0] - at) < Math.abs(kept[0] - at) ? asked : kept;
}

/**
 * The rows up to a moment, which are sorted.
 * @template {ArrayLike<number>} R
 * @param {R[]} rows
 * @param {number | null} at
 * @param {number} [column]
 * @returns {R[]}
 */
export function rowsUntil(rows, at, column = 0) {
  if (at === null) return rows;
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle][column] <= at) low = middle + 1;
    else high = middle;
  }
  return rows.slice(0, low);
}
