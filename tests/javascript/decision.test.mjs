import assert from "node:assert/strict";
import { test } from "node:test";

import { columnsOf, linesOf, mostLikely, placeAt, sureness } from "../../widgets/naslab_widgets/static/decision.js";
import { coloursOf, strengthOf } from "../../widgets/naslab_widgets/static/heat.js";

const near = (one, other) => assert.ok(Math.abs(one - other) < 1e-9, `${one} is not ${other}`);

test("what nothing is learnt of is in the middle of the scale, of however many options", () => {
  for (const count of [2, 3, 6, 20]) {
    near(strengthOf(1 / count, count), 0.5);
    assert.equal(strengthOf(0, count), 0);
    assert.equal(strengthOf(1, count), 1);
    assert.ok(strengthOf(2 / count - 1e-9, count) > strengthOf(1 / count, count));
  }
  near(strengthOf(0.3, 2), 0.3);
  near(strengthOf(1, 1), 1); // there is one option only
});

test("the colours are those of the stops, and between them", () => {
  const colours = coloursOf([[0, "#000000"], [0.5, "#ff0000"], [1, "#ff00ff"]]);
  assert.equal(colours.length, 256);
  assert.deepEqual([colours[0], colours[255]], [[0, 0, 0], [255, 0, 255]]);
  assert.deepEqual(colours[51], [102, 0, 0]);
  assert.ok(colours.flat().every((part) => Number.isInteger(part) && part >= 0 && part <= 255));
});

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
  assert.equal(sureness(Math.log(2), Math.log(4)), "entropy 0.693 of 1.386 nats, 50 % of uniform");
  assert.equal(sureness(0, 0), "there is one option only");
});

test("the axis of the probabilities is as long as it must be", () => {
  assert.equal(mostLikely({ probabilities: [[0.2, 0.8], [0.5, 0.5]], uniform: 0.5 }), 1);
  assert.equal(mostLikely({ probabilities: [[0.1, 0.3]], uniform: 0.1 }), 0.3);
  assert.equal(mostLikely({ probabilities: [[0.1, 0.12]], uniform: 0.1 }), 0.2);
});
