// The trials as the page knows them: tables of float64 that grow, and the relations that all views use.

import { connect, unpack } from "./wire.js";
/** @import { CandidateMessage, Columns, Connection, Portrait, Table, TableHead, TrialsMessage, TrialsMomentMessage, TrialsState } from "./types.js" */

/**
 * Appends the rows of a message to a table. Both sides keep every `stride`-th row; a `reset` replaces the table.
 * @param {Table | undefined} table
 * @param {TableHead} head
 * @param {ArrayBufferView} buffer
 * @returns {Table}
 */
export function appendRows(table, head, buffer) {
  const rows = unpack(buffer, head.width);
  if (head.reset || !table) table = { rows, stride: head.stride, version: 0 };
  else {
    for (; table.stride < head.stride; table.stride *= 2) table.rows = table.rows.filter((_, i) => i % 2 === 0);
    table.rows.push(...rows);
  }
  if (head.columns) table.columns = head.columns;
  table.version += 1;
  return table;
}

/**
 * The first column and the width of each named column; column 0 is the step.
 * @param {[name: string, width: number][] | undefined} columns
 * @returns {Map<string, {start: number, width: number}>}
 */
export function columnsByName(columns) {
  let start = 1;
  return new Map((columns ?? []).map(([name, width]) => [name, { start: (start += width) - width, width }]));
}

/**
 * Keeps the state of a search of trials from the messages of Python.
 * @param {Connection} model
 * @param {Columns} C
 * @param {() => void} changed
 * @param {(message: CandidateMessage) => void} answered
 * @returns {{state: TrialsState, drawn: () => void, close: () => void}}
 */
export function followTrials(model, C, changed, answered) {
  /** @type {TrialsState} */
  const state = {
    past: null,
    status: { state: "idle", step: 0, total: null, log: [], marks: [], origins: [] },
    options: {},
    questions: {},
    sections: {},
    tables: {},
    notes: new Map(),
    families: [],
    candidate: null,
    trials: [],
    byNumber: new Map(),
    continued: new Set(),
    before: new Map(),
    hurdled: false,
    longest: NaN,
    version: 0,
  };

  function relate() {
    const found = new Map();
    for (const name of ["trials", "listed"]) for (const row of state.tables[name]?.rows || []) found.set(row[C.number], row);
    state.byNumber = found;
    state.trials = [...found.values()].sort((a, b) => a[C.step] - b[C.step]);
    state.continued = new Set();
    state.before = new Map();
    state.hurdled = false;
    state.longest = NaN;
    const latest = new Map();
    for (const row of state.trials) {
      const earlier = latest.get(row[C.candidate]);
      if (earlier) {
        state.continued.add(earlier[C.number]);
        state.before.set(row[C.number], earlier);
      }
      latest.set(row[C.candidate], row);
      if (!Number.isNaN(row[C.hurdle])) state.hurdled = true;
      if (!(row[C.fidelity] <= state.longest)) state.longest = Number.isNaN(row[C.fidelity]) ? state.longest : row[C.fidelity];
    }
    state.version = Number(state.version) + 1;
  }

  /** @type {(message: TrialsMessage | TrialsMomentMessage | CandidateMessage, buffers: ArrayBufferView[]) => void} */
  function receive(message, buffers) {
    if (message.type === "candidate") {
      state.candidate = message.selected === null ? null : /** @type {Portrait} */ ({ ...message, ancestry: unpack(buffers[0], Object.keys(C).length) });
      answered(message);
      return changed();
    }
    if (message.type === "moment") {
      state.past = { ...message, near: unpack(buffers[0], Object.keys(C).length) };
      return changed();
    }
    if (message.fresh) {
      state.past = null;
      state.tables = {};
      state.sections = {};
      state.notes.clear();
    }
    message.tables.forEach((head, i) => (state.tables[head.name] = appendRows(state.tables[head.name], head, buffers[i])));
    state.status = message.status;
    Object.assign(state.sections, message.sections);
    if (message.supernet) state.supernet = message.supernet;
    if (message.families) state.families = message.families;
    if (message.options && message.questions) [state.options, state.questions] = [message.options, message.questions];
    for (const [key, note] of Object.entries(message.notes || {})) state.notes.set(Number(key), note);
    if (message.tables.some(({ name }) => name === "trials" || name === "listed")) relate();
    if (state.notes.size > 2000) for (const key of state.notes.keys()) if (!state.byNumber.has(key)) state.notes.delete(key);
    changed();
  }

  const { drawn, close } = connect(model, (message) => message.type === "trials" && message.fresh, receive);
  return { state, drawn, close };
}
