import assert from "node:assert/strict";
import { test } from "node:test";

import { evaluationName, ordinal } from "../../widgets/naslab_widgets/static/words.js";

test("an evaluation is called by its number, a training that goes on by its candidate, too", () => {
  assert.equal(evaluationName({ number: 30, candidate: 30, stage: 0 }), "evaluation 30");
  assert.equal(evaluationName({ number: 35, candidate: 33, stage: 1 }), "evaluation 35: candidate 33, 2nd training");
  assert.deepEqual([1, 2, 3, 4, 11, 12, 13, 21, 112].map(ordinal), ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]);
});
