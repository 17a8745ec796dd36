import assert from "node:assert/strict";
import { test } from "node:test";

import { curvePlaces } from "../../widgets/naslab_widgets/static/learning_curve.js";

test("a training curve begins at no epochs and ends at the right, and each training ends somewhere", () => {
  const size = { width: 100, height: 50, left: 20, right: 0, top: 0, bottom: 10 };
  const found = curvePlaces([[10, 60], [20, 80], [40, 90]], [10, 40, null, 99], size);
  assert.deepEqual(found.points.map(({ x }) => x), [40, 60, 100]);
  assert.ok(found.points[0].y > found.points[1].y && found.points[2].y > 0 && found.points[0].y < 40);
  assert.deepEqual(found.ends, [40, 100]);
});

test("one point, or none that is a number, is no curve; equal ones are flat and finite", () => {
  assert.equal(curvePlaces([], []), null);
  assert.equal(curvePlaces([[1, 5]], [1]), null);
  assert.equal(curvePlaces([[1, NaN], [2, null], [3, 4]], []), null);
  const flat = curvePlaces([[1, 5], [2, 5]], []);
  assert.ok(flat.points.every(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)));
});
