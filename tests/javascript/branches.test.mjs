import assert from "node:assert/strict";
import { test } from "node:test";

import { shownAfter, treeRows } from "../../widgets/naslab_widgets/static/branch_tree.js";
import { momentText, workText } from "../../widgets/naslab_widgets/static/branches.js";

const ROWS = [
  { run: "a", parent: null, parted: 0, step: null, total: 200, shown: true },
  { run: "b", parent: 0, parted: 50, step: 60, total: 200, shown: true },
  { run: "c", parent: 0, parted: 150, step: 190, total: 200, shown: false },
  { run: "d", parent: 0, parted: 10, step: 10, total: 200, shown: false },
];

test("rows lie over one axis, and the search that is driven here is as far as its status says", () => {
  const [root, second, third, fourth] = treeRows(ROWS, 100);
  assert.deepEqual(root, { from: 0, to: 50, dot: false, before: false, end: 100 });
  assert.deepEqual([second.from, second.to, second.dot], [25, 30, true]);
  assert.equal(third.before, true); // no room behind it
  assert.deepEqual([fourth.from, fourth.to], [5, 5]);
});

test("an axis with no steps is no division by nothing", () => {
  assert.deepEqual(treeRows([{ parent: null, parted: 0, step: 0, total: 0 }], 0)[0].to, 0);
});

test("a click shows one, Control adds and takes away, and the last stays", () => {
  assert.deepEqual(shownAfter(ROWS, 2, false), ["c"]);
  assert.deepEqual(shownAfter(ROWS, 2, true), ["a", "b", "c"]);
  assert.deepEqual(shownAfter(ROWS, 1, true), ["a"]);
  const three = ROWS.map((row, place) => ({ ...row, shown: place < 3 }));
  assert.equal(shownAfter(three, 3, true), null);
  const one = ROWS.map((row, place) => ({ ...row, shown: place === 0 }));
  assert.deepEqual(shownAfter(one, 0, true), ["a"]);
});

test("what is said of the moment and of the work", () => {
  assert.equal(momentText(40, false, null), "");
  assert.equal(momentText(40, true, { step: 39, again: "at once" }), "step 40");
  assert.equal(momentText(40, true, { step: 40, again: "at once" }), "step 40: at once");
  assert.equal(workText({ what: "fork", step: 40, done: 0, total: 0 }), "forking at step 40");
  assert.equal(workText({ what: "back", step: 40, done: 3, total: 9 }), "going back to step 40: 3 of 9 steps done again");
});
