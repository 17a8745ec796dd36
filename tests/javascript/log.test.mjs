import assert from "node:assert/strict";
import { test } from "node:test";

import { logAt } from "../../widgets/naslab_widgets/static/log.js";
/** @import { LogLine } from "../../widgets/naslab_widgets/static/types.js" */

test("the log stands as it stood then", () => {
  /** @type {{log: LogLine[], marks: [number, string][]}} */
  const status = { log: [{ step: 7, text: "x" }, { step: 9, text: "w_lr" }], marks: [[2, "a"], [3, "b"], [4, "c"], [5, "d"], [9, "w_lr"]] };
  assert.equal(logAt(status, null), status.log);
  assert.deepEqual(logAt(status, 4).map(({ text }) => text), ["a", "b", "c"]);
  assert.deepEqual(logAt(status, 9).map(({ text }) => text), ["c", "d", "x", "w_lr"]);
});
