import assert from "node:assert/strict";
import { test } from "node:test";

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
