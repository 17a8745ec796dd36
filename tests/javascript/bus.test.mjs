import assert from "node:assert/strict";
import { test } from "node:test";

import { bus } from "../../widgets/naslab_widgets/static/bus.js";

test("the widgets of one panel share a moment, and those of another do not", () => {
  const [one, two, other] = [bus("a"), bus("a"), bus("b")];
  const heard = [];
  const off = one.on(() => heard.push(["one", one.at]));
  two.on(() => heard.push(["two", two.at]));
  other.on(() => heard.push(["other", other.at]));
  two.set({ at: 40 });
  assert.deepEqual(heard, [["one", 40], ["two", 40]]);
  two.set({ at: 40 });
  assert.equal(heard.length, 2, "the same again is no news");
  two.set({ selected: { part: "normal", edge: 3 } });
  assert.equal(heard.length, 4);
  assert.deepEqual(one.selected, { part: "normal", edge: 3 });
  assert.equal(other.at, null);
  off();
  two.set({ at: null });
  assert.equal(heard.length, 5);
});
