import assert from "node:assert/strict";
import { test } from "node:test";

import { columnsOf, entropyText, mostLikely, placeAt } from "../../widgets/naslab_widgets/static/decision.js";
import { linesOf } from "../../widgets/naslab_widgets/static/step_plot.js";

test("lines fill their box, and what is not known is left out", () => {
  assert.deepEqual(linesOf([10, 20, 30], [[0, null, 2], [1, 1, 1]], [0, 2], 100, 50), ["0.0,50.0 100.0,0.0", "0.0,25.0 50.0,25.0 100.0,25.0"]);
  assert.deepEqual(linesOf([7], [[1]], [0, 1], 100, 50), ["0.0,0.0"]);
  assert.deepEqual(columnsOf([[1, 2], [3, 4]]), [[1, 3], [2, 4]]);
  assert.deepEqual(columnsOf([]), []);
});

test("who looks back sees what was known then", () => {
  const steps = [3, 6, 9];
  assert.deepEqual([null, 1, 3, 5, 6, 8, 9, 50].map((at) => placeAt(steps, at)), [2, 0, 0, 0, 1, 1, 2, 2]);
});

test("how sure the policy is, against one that has learnt nothing", () => {
  assert.equal(entropyText(Math.log(2), Math.log(4)), "entropy 0.693 of 1.386 nats, 50 % of uniform");
  assert.equal(entropyText(0, 0), "there is one option only");
});

test("the axis of the probabilities is as long as it must be", () => {
  assert.equal(mostLikely({ probabilities: [[0.2, 0.8], [0.5, 0.5]], uniform: 0.5 }), 1);
  assert.equal(mostLikely({ probabilities: [[0.1, 0.3]], uniform: 0.1 }), 0.3);
  assert.equal(mostLikely({ probabilities: [[0.1, 0.12]], uniform: 0.1 }), 0.2);
});
