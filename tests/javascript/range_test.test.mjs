import assert from "node:assert/strict";
import { test } from "node:test";

import { nearestRate, placesOf } from "../../widgets/naslab_widgets/static/range_test.js";
/** @import { RangeTest } from "../../widgets/naslab_widgets/static/types.js" */

/** @type {Pick<RangeTest, "points" | "low" | "high" | "now">} */
const found = { points: Array.from({ length: 61 }, (_, i) => [10 ** (-5 + i / 12), 2, 2]), low: 1, high: 3, now: 0.01 };

test("rates stand on a logarithmic axis, and losses beyond the highest at the top", () => {
  const { x, y } = placesOf(found);
  const gaps = found.points.slice(1).map(([rate], i) => x(rate) - x(found.points[i][0]));
  for (const gap of gaps) assert.ok(Math.abs(gap - gaps[0]) < 1e-9 && gap > 0);
  assert.ok(y(1) > y(2) && y(2) > y(3));
  assert.equal(y(1e6), y(3));
});

test("the nearest rate is that of the point itself", () => {
  const { x } = placesOf(found);
  found.points.forEach(([rate], i) => assert.equal(nearestRate(found, x(rate)), i));
  assert.equal(nearestRate(found, -1e3), 0);
  assert.equal(nearestRate(found, 1e4), 60);
});

test("the rate in force is on the axis, too", () => {
  const { x } = placesOf({ ...found, now: 100 });
  assert.ok(x(100) > x(1));
  const single = placesOf({ points: [[0.1, 2, 2]], low: 2, high: 2, now: 0.1 });
  assert.ok(Number.isFinite(single.x(0.1)) && Number.isFinite(single.y(2)));
});
