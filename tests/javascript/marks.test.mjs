import assert from "node:assert/strict";
import { test } from "node:test";

import { markUnder, placedMarks } from "../../widgets/naslab_widgets/static/marks.js";
/** @import { Mark } from "../../widgets/naslab_widgets/static/types.js" */

test("marks of a kind that would lie on one another are one, and no more are drawn than there is room for", () => {
  const across = (step) => step / 1000;
  /** @type {Mark[]} */
  const marks = [[1000, "changed", "a"], [3000, "changed", "b"], [3000, "fork", "c"], [20000, "changed", "d"]];
  const placed = placedMarks(marks, across);
  assert.deepEqual(placed.map(({ place, kind, sentences }) => [place, kind, sentences]), [[1000, "changed", ["a", "b"]], [3000, "fork", ["c"]], [20000, "changed", ["d"]]]);
  assert.equal(markUnder(placed, 17).place, 20000);
  assert.equal(markUnder(placed, 12), null);
  /** @type {Mark[]} */
  const many = Array.from({ length: 100_000 }, (_, i) => [i, "changed", `mark ${i}`]);
  const room = placedMarks(many, (step) => (800 * step) / 100_000);
  assert.ok(room.length <= 800 / 7 + 1 && Math.max(...room.map(({ sentences }) => sentences.length)) <= 6);
  assert.equal(room.reduce((sum, { count }) => sum + count, 0), 100_000);
});
