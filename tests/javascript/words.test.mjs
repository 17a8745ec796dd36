import assert from "node:assert/strict";
import { test } from "node:test";

import { chartsOf } from "../../widgets/naslab_widgets/static/heat.js";
import { called, ordinal } from "../../widgets/naslab_widgets/static/words.js";

test("an evaluation is called by its number, a training that goes on by its candidate, too", () => {
  assert.equal(called({ number: 30, candidate: 30, stage: 0 }), "evaluation 30");
  assert.equal(called({ number: 35, candidate: 33, stage: 1 }), "evaluation 35: candidate 33, 2nd training");
  assert.deepEqual([1, 2, 3, 4, 11, 12, 13, 21, 112].map(ordinal), ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]);
});

test("what never changes is no chart, and rungs are called by their epochs", () => {
  const columns = [["waiting", 1], ["epochs", 2], ["stopped", 2], ["seen", 1]];
  const rows = [[1, 0, 1, 3, 0, 0, 1], [2, 0, 1, 3, 1, 0, 2]];
  const { charts, metrics } = chartsOf({ columns, rows }, []);
  assert.deepEqual(charts.map(({ title }) => title), ["stopped", "seen"]);
  assert.deepEqual(charts[0].series, [["stopped/0", "1 epoch"], ["stopped/1", "3 epochs"]]);
  assert.equal(metrics["stopped/1"], 5);
  const first = chartsOf({ columns, rows: rows.slice(0, 1) }, []);
  assert.deepEqual(first.charts.map(({ title }) => title), [], "nothing has changed yet");
});
