import assert from "node:assert/strict";
import { test } from "node:test";

import { markedDifferences } from "../../widgets/naslab_widgets/static/differences.js";

test("of one other all that differs is marked", () => {
  assert.deepEqual(markedDifferences("skip", [["a", "conv"]]), [["a", "conv"]]);
  assert.deepEqual(markedDifferences("skip", [["a", "skip"]]), []);
});

test("of several only what two agree on", () => {
  assert.deepEqual(markedDifferences("skip", [["a", "conv"], ["b", "pool"]]), []);
  assert.deepEqual(markedDifferences("skip", [["a", "conv"], ["b", "skip"]]), []);
  assert.deepEqual(markedDifferences("skip", [["a", "conv"], ["b", "conv"], ["c", "pool"]]), [["a", "conv"], ["b", "conv"]]);
});
