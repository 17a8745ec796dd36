import assert from "node:assert/strict";
import { test } from "node:test";

import { nextEdge } from "../../widgets/naslab_widgets/static/cell.js";
import { curvesOf, leftOf, nudgeBy, nudged, ruleOf } from "../../widgets/naslab_widgets/static/edge_rules.js";
import { shortCount } from "../../widgets/naslab_widgets/static/numbers.js";

const near = (one, other) => assert.ok(Math.abs(one - other) < 1e-9, `${one} is not ${other}`);

test("what is added to an alpha brings its share to where the bar was dragged", () => {
  const shares = [0.1, 0.2, 0.3, 0.4];
  for (const target of [0.05, 0.2, 0.5, 0.9]) {
    const after = nudged(shares, 1, nudgeBy(shares[1], target));
    near(after[1], target);
    near(after.reduce((sum, one) => sum + one, 0), 1);
    near(after[3] / after[2], 4 / 3); // the others keep their ratio
  }
});

test("no drag leads to a number that is none", () => {
  for (const share of [0, 1, NaN, 0.5])
    for (const target of [-3, 0, 1, 7, NaN, Infinity]) assert.ok(Number.isFinite(nudgeBy(share, target)), `${share} to ${target}`);
  assert.equal(nudgeBy(NaN, 0.5), 0);
  assert.deepEqual(nudged([0, 0], 0, 1), [0, 0]);
  assert.deepEqual(nudged([0.5, 0.5], 0, 1e6), [0.5, 0.5]); // beyond what can be computed nothing is shown
});

test("what is forbidden, and what is left", () => {
  const rules = { everywhere: [3], masks: [{ 2: [0, 1] }, {}], dropped: [[5], []] };
  assert.deepEqual([0, 1, 2, 3].map((operation) => ruleOf(rules, 0, 2, operation)), ["here", "here", "", "everywhere"]);
  assert.equal(ruleOf(rules, 1, 2, 0), "");
  assert.equal(ruleOf(rules, 0, 5, 0), "dropped");
  assert.deepEqual(leftOf(rules, [0, 1, 2, 3], 0, 2), [2]);
  assert.deepEqual(leftOf(rules, [0, 1, 2, 3], 1, 0), [0, 1, 2]);
});

test("arrows walk round the edges of a part", () => {
  assert.equal(nextEdge(0, "ArrowRight", 5), 1);
  assert.equal(nextEdge(4, "ArrowDown", 5), 0);
  assert.equal(nextEdge(0, "ArrowUp", 5), 4);
  assert.equal(nextEdge(0, "x", 5), null);
});

test("counts are short", () => {
  assert.deepEqual([0, 136, 17408, 2.5e6, 3e9, null, NaN].map(shortCount), ["0", "136", "17.4k", "2.5M", "3G", "–", "–"]);
});

test("curves end at the last step, and all are on one scale", () => {
  const rows = Array.from({ length: 500 }, (_, i) => Float64Array.of(i + 1, 0.25, 0.5));
  const [low, high] = curvesOf(rows, 1, [0, 1]).map((points) => points.split(" "));
  assert.ok(low.length <= 64);
  assert.equal(high.at(-1), "100.0,0.0");
  assert.equal(low.at(-1), "100.0,50.0");
  assert.deepEqual(curvesOf(rows.slice(0, 1), 1, [0, 1]), ["", ""]);
});
