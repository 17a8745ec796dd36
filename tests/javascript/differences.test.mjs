import assert from "node:assert/strict";
import { test } from "node:test";

import { cellNumber, comparable, difference, markedDifferences } from "../../widgets/naslab_widgets/static/differences.js";

test("of one other all that differs is marked", () => {
  assert.deepEqual(markedDifferences("skip", [["a", "conv"]]), [["a", "conv"]]);
  assert.deepEqual(markedDifferences("skip", [["a", "skip"]]), []);
});

test("of several only what two agree on", () => {
  assert.deepEqual(markedDifferences("skip", [["a", "conv"], ["b", "pool"]]), []);
  assert.deepEqual(markedDifferences("skip", [["a", "conv"], ["b", "skip"]]), []);
  assert.deepEqual(markedDifferences("skip", [["a", "conv"], ["b", "conv"], ["c", "pool"]]), [["a", "conv"], ["b", "conv"]]);
});

test("cells are compared edge by edge with those of the same kind", () => {
  const part = { name: "cell", labels: ["0 → 1", "0 → 2"], kept: 1 };
  const operations = [{ name: "skip" }, { name: "conv" }];
  const track = (name, kin) => /** @type {any} */ ({ name, kin, parts: [part], operations, columns: { cell: 3 } });
  const tracks = [track("a", "x"), track("b", "x"), track("c", "y")];
  const shown = (...kept) => ({ rows: [], shown: [Float64Array.from([7, ...kept, 5])] });
  const state = { tracks: [shown(0, -1), shown(0, 1), shown(1, 1)] };
  assert.deepEqual(comparable(0, tracks), [1]);
  assert.equal(cellNumber(0, tracks, state), 5);
  const { otherwise, summary } = difference(0, tracks, state);
  assert.deepEqual(otherwise, { cell: [[], ["b: conv"]] });
  assert.equal(summary, "1 of 2 edges differ from b");
  state.tracks[1] = shown(0, -1);
  assert.equal(difference(0, tracks, state).summary, "the same as b");
  state.tracks[0] = { rows: [], shown: [] };
  assert.deepEqual(difference(0, tracks, state), { otherwise: { cell: [[], []] }, summary: "" });
});
