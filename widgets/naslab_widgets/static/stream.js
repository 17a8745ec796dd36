// The trials as the page knows them: tables of float64 that grow, and what follows from them for all panels.

import { talk, unpack } from "./shared.js";

// Adds the rows of a message to a table. Both sides keep every stride-th row; a table that comes anew replaces all.
export function grow(table, head, buffer) {
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

// Name -> the first column of its numbers and how many they are; column 0 is the step.
export function places(columns) {
  let start = 1;
  return new Map(columns.map(([name, width]) => [name, { start: (start += width) - width, width }]));
}

export function followTrials(model, C, changed, answered) {
  const state = {
    told: null, // of a moment that one looks back to: {step, best, child, near}
    status: { state: "idle", step: 0, total: null, log: [], marks: [], rates: {}, origins: [] },
    options: {}, // decision -> the names of its options
    questions: {}, // decision -> what it is called where people read it
    sections: {}, // what Python tells of one thing that was asked for
    tables: {},
    notes: new Map(), // number -> {figures, message}
    families: [], // slot -> the family that has its colour
    candidate: null, // what Python told of the selected trial
    trials: [], // all known rows, in order of step
    byNumber: new Map(),
    continued: new Set(), // numbers of trials whose training went on
    before: new Map(), // number -> the row of the same candidate before it
    hurdled: false,
    longest: NaN,
    version: 0, // of the trials
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
    state.version += 1;
  }

  function receive(message, buffers) {
    if (message.type === "candidate") {
      state.candidate = message.selected === null ? null : { ...message, ancestry: unpack(buffers[0], Object.keys(C).length) };
      answered(message);
      return changed();
    }
    if (message.type === "moment") {
      state.told = { ...message, near: unpack(buffers[0], Object.keys(C).length) };
      return changed();
    }
    if (message.fresh) {
      state.told = null;
      state.tables = {};
      state.sections = {};
      state.notes.clear();
    }
    message.tables.forEach((head, i) => (state.tables[head.name] = grow(state.tables[head.name], head, buffers[i])));
    state.status = message.status;
    Object.assign(state.sections, message.sections);
    if (message.supernet) state.supernet = message.supernet;
    if (message.families) state.families = message.families;
    if (message.options) [state.options, state.questions] = [message.options, message.questions];
    for (const [key, note] of Object.entries(message.notes || {})) state.notes.set(Number(key), note);
    if (message.tables.some(({ name }) => name === "trials" || name === "listed")) relate();
    if (state.notes.size > 2000) for (const key of state.notes.keys()) if (!state.byNumber.has(key)) state.notes.delete(key);
    changed();
  }

  const { drawn, close } = talk(model, (message) => message.fresh, receive);
  return { state, drawn, close };
}

// The trials as they stood after a step: those until then, which of them had been trained on, and the best. What Python
// has told of that moment comes before what can be seen in the rows that the page keeps. What is otherwise than now comes
// out.
export function trialsAt(state, at, C) {
  if (at === null) return {};
  const told = state.told?.step === at ? state.told : null;
  const known = new Map(state.byNumber);
  for (const row of told?.near || []) known.set(row[C.number], row);
  const trials = [...known.values()].filter((row) => row[C.step] <= at).sort((a, b) => a[C.step] - b[C.step]);
  const latest = new Map();
  const continued = new Set();
  let best = null;
  for (const row of trials) {
    if (latest.has(row[C.candidate])) continued.add(latest.get(row[C.candidate])[C.number]);
    latest.set(row[C.candidate], row);
    if (Number.isFinite(row[C.fitness]) && !(best && row[C.fitness] <= best[C.fitness])) best = row;
  }
  const number = told ? told.best : (best?.[C.number] ?? null);
  const status = { ...state.status, step: at, best: number === null ? null : { ...state.status.best, number }, child: told?.child ?? state.status.child };
  return { at, trials, continued, status, version: `${state.version} at ${at} ${Boolean(told)}` };
}

// Had less training than another and was not trained on; where there are hurdles, because it missed its own.
export function isStopped(row, state, C) {
  if (state.continued.has(row[C.number])) return false;
  return state.hurdled ? row[C.missed] === 1 : row[C.fidelity] < state.longest;
}

// The rows that a trial descends from, itself first: as Python told them, or as far as this page knows them.
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

// What all panels over the order of the trials share: the scale from step to pixel, and its labels.
export const ORDER_LEFT = 52;
export const ORDER_RIGHT = 12;

export function orderScale(state, width) {
  const before = (state.status.since ?? 1) - 1; // steps ahead of all trials that are not shown
  const last = Math.max(state.status.step, before + 2);
  const each = (width - ORDER_LEFT - ORDER_RIGHT) / (last - before);
  return {
    first: before + 1,
    last,
    right: width,
    across: (step) => ORDER_LEFT + each * (step - before - 0.5),
    at: (x) => before + 0.5 + (x - ORDER_LEFT) / each,
  };
}

export function drawOrder(pen, scale, y, title) {
  pen.textAlign = "center";
  const many = scale.last - scale.first + 1;
  const size = 10 ** Math.floor(Math.log10(many / 4));
  const step = Math.max(1, [1, 2, 5, 10].map((m) => m * size).find((tick) => many / tick <= 8));
  for (let tick = step * Math.ceil(scale.first / step); tick <= scale.last; tick += step) {
    const text = tick.toLocaleString("en");
    const x = Math.min(scale.across(tick), scale.right - pen.measureText(text).width / 2);
    if (!title || x > ORDER_LEFT + 20) pen.fillText(text, x, y);
  }
  if (title) {
    pen.textAlign = "left";
    pen.fillText(title, 2, y);
  }
  pen.textAlign = "left";
}
