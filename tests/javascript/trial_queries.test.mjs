import assert from "node:assert/strict";
import { test } from "node:test";

import { ancestryOf, isStopped, trialsAt } from "../../widgets/naslab_widgets/static/trial_queries.js";

test("trials at a moment are those until then, with the best until then", () => {
  /** @type {any} */
  const C = { step: 0, number: 1, fitness: 2, candidate: 3 };
  const rows = [[1, 1, 0.5, 1], [2, 2, 0.9, 2], [3, 3, NaN, 3], [4, 4, 0.7, 1], [5, 5, 0.95, 5]];
  /** @type {any} */
  const state = { past: null, byNumber: new Map(rows.map((row) => [row[1], row])), trials: rows, continued: new Set([1]), version: 3, status: { step: 5, best: { number: 5 }, child: { step: 5 } } };
  assert.deepEqual(trialsAt(state, null, C), {}, "now is as it is");
  const then = trialsAt(state, 3, C);
  assert.deepEqual(then.trials.map(([step]) => step), [1, 2, 3]);
  assert.equal(then.status.best.number, 2);
  assert.equal(then.status.step, 3);
  assert.deepEqual([...then.continued], [], "it was trained on later");
  assert.deepEqual([...trialsAt(state, 4, C).continued], [1]);
  const asked = trialsAt({ ...state, past: { step: 3, best: 77, child: { step: 3 }, near: [[3, 9, 0.1, 9]] } }, 3, C);
  assert.equal(asked.status.best.number, 77, "Python knows all trials");
  assert.equal(asked.status.child.step, 3);
  assert.deepEqual(asked.trials.map((row) => row[1]), [1, 2, 3, 9]);
});

test("a trial is stopped if others were trained on, or if it missed its hurdle", () => {
  /** @type {any} */
  const C = { number: 0, fidelity: 1, missed: 2 };
  const row = (number, fidelity, missed) => Float64Array.from([number, fidelity, missed]);
  const state = { continued: new Set([1]), hurdled: false, longest: 30 };
  assert.equal(isStopped(row(1, 10, NaN), state, C), false, "it was trained on");
  assert.equal(isStopped(row(2, 10, NaN), state, C), true);
  assert.equal(isStopped(row(3, 30, NaN), state, C), false);
  assert.equal(isStopped(row(4, 10, 0), { ...state, hurdled: true }, C), false, "it waits for its hurdle");
  assert.equal(isStopped(row(5, 30, 1), { ...state, hurdled: true }, C), true);
});

test("ancestors are found by both parents, each once, as far as the page knows them", () => {
  /** @type {any} */
  const C = { number: 0, parent: 1, second_parent: 2 };
  const rows = [[1, NaN, NaN], [2, 1, NaN], [3, 1, 99], [4, 2, 3]].map((row) => Float64Array.from(row));
  const byNumber = new Map(rows.map((row) => [row[0], row]));
  assert.deepEqual(ancestryOf({ candidate: null, byNumber }, 4, C).map(([number]) => number), [4, 2, 3, 1]);
  const candidate = /** @type {any} */ ({ selected: 4, ancestry: [rows[3]] });
  assert.deepEqual(ancestryOf({ candidate, byNumber }, 4, C), [rows[3]], "Python knows all of them");
});
