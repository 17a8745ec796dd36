import assert from "node:assert/strict";
import { test } from "node:test";

import { appendRows, columnsByName, followTrials } from "../../widgets/naslab_widgets/static/stream.js";

const C = /** @type {any} */ ({ step: 0, number: 1, fitness: 2, candidate: 3, hurdle: 4, fidelity: 5 });
const bytes = (...rows) => new DataView(Float64Array.from(rows.flat()).buffer);

test("a table that grows keeps every stride-th row, as Python does", () => {
  const head = { name: "trials", width: 2, reset: true, stride: 1 };
  let table = appendRows(undefined, head, bytes([1, 10], [2, 20], [3, 30]));
  table = appendRows(table, { ...head, reset: false, stride: 2 }, bytes([5, 50]));
  assert.deepEqual(table.rows.map(([step]) => step), [1, 3, 5]);
  assert.equal(table.version, 2);
  table = appendRows(table, head, bytes([9, 90]));
  assert.deepEqual(table.rows.map((row) => row[1]), [90], "what comes anew replaces it");
});

test("columns stand one behind the other, after the step", () => {
  assert.deepEqual([...columnsByName([["a", 1], ["b", 3], ["c", 1]])], [["a", { start: 1, width: 1 }], ["b", { start: 2, width: 3 }], ["c", { start: 5, width: 1 }]]);
  assert.equal(columnsByName(undefined).size, 0);
});

test("what trials have to do with one another is known from their rows", () => {
  /** @type {(message: object, buffers: DataView[]) => void} */
  let receive;
  let changes = 0;
  const answers = [];
  const model = { on: (_, listener) => (receive = listener), off() {}, send() {} };
  const { state, close } = followTrials(model, C, () => (changes += 1), (answer) => answers.push(answer.selected));
  const status = { state: "running", step: 3 };
  const tables = [{ name: "trials", width: 6, reset: true, stride: 1 }];
  const rows = [[1, 1, 0.5, 1, NaN, 10], [2, 2, 0.6, 2, NaN, 10], [3, 3, 0.7, 1, 0.4, 30]];
  receive({ type: "trials", number: 1, fresh: true, status, sections: {}, tables, notes: { 2: { figures: {}, message: "", status: "failed" } } }, [bytes(...rows)]);
  assert.deepEqual([...state.continued], [1], "the third is the first one's training, continued");
  assert.equal(state.before.get(3)[C.number], 1);
  assert.deepEqual([state.hurdled, state.longest], [true, 30]);
  assert.equal(state.notes.get(2).status, "failed");
  receive({ type: "candidate", selected: 2, chosen: true, parents: [1] }, [bytes(rows[1], rows[0])]);
  assert.deepEqual([state.candidate.ancestry.length, answers], [2, [2]]);
  receive({ type: "moment", step: 2, best: 2, child: null }, [bytes(rows[1])]);
  assert.equal(state.past.near[0][C.number], 2);
  receive({ type: "trials", number: 2, fresh: true, status, sections: {}, tables: [], notes: {} }, []);
  assert.deepEqual([state.past, state.notes.size, Object.keys(state.tables)], [null, 0, []], "a snapshot replaces everything");
  assert.equal(changes, 4);
  close();
});
