import assert from "node:assert/strict";
import { test } from "node:test";

import { marked } from "../../widgets/naslab_widgets/static/lane.js";

test("of one other all that differs is marked", () => {
  assert.deepEqual(marked("skip", [["a", "conv"]]), [["a", "conv"]]);
  assert.deepEqual(marked("skip", [["a", "skip"]]), []);
});

test("of several only what two agree on", () => {
  assert.deepEqual(marked("skip", [["a", "conv"], ["b", "pool"]]), []);
  assert.deepEqual(marked("skip", [["a", "conv"], ["b", "skip"]]), []);
  assert.deepEqual(marked("skip", [["a", "conv"], ["b", "conv"], ["c", "pool"]]), [["a", "conv"], ["b", "conv"]]);
});
