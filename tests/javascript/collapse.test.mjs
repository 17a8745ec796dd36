import assert from "node:assert/strict";
import { test } from "node:test";

import { standingAt } from "../../widgets/naslab_widgets/static/collapse.js";
/** @import { Level } from "../../widgets/naslab_widgets/static/types.js" */

test("how it stood is what the last change of the level said", () => {
  /** @type {[number, Level, string][]} */
  const turns = [[30, "amber", "gaining"], [52, "red", "lost"], [90, "grey", "over"]];
  assert.equal(standingAt(turns, 29), null);
  assert.equal(standingAt(turns, 30)[1], "amber");
  assert.equal(standingAt(turns, 89)[2], "lost");
  assert.equal(standingAt(turns, 4000)[1], "grey");
  assert.equal(standingAt([], 5), null);
});
