import assert from "node:assert/strict";
import { test } from "node:test";

import { interventionsText, programText, lastStanding } from "../../widgets/naslab_widgets/static/ledger.js";

const row = (number, given) => ({ number, pending: false, undoes: null, undone: null, ...given });

test("interventions are counted, and those that wait beside them", () => {
  assert.equal(interventionsText([], 0), "no interventions yet");
  assert.equal(interventionsText([row(1)], 1), "1 intervention");
  assert.equal(interventionsText([row(1), row(2, { pending: true })], 1), "1 intervention, 1 waits for its step");
  assert.equal(interventionsText([row(1, { pending: true }), row(2, { pending: true })], 0), "no interventions yet, 2 wait for their step");
});

test("a program comes in pieces", () => {
  assert.equal(programText([["a = ", "1"], [], ["b"]]), "a = 1\n\nb\n");
});

test("Ctrl+Z means the last that stands and is no undo itself", () => {
  assert.equal(lastStanding([]), undefined);
  const rows = [row(1), row(2, { undone: 3 }), row(3, { undoes: 2 })];
  assert.equal(lastStanding(rows).number, 1);
  assert.equal(lastStanding([...rows, row(4, { pending: true })]).number, 4);
});
