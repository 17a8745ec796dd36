import assert from "node:assert/strict";
import { test } from "node:test";

import { chartsOf } from "../../widgets/naslab_widgets/static/details.js";

test("what never changes is no chart, and rungs are called by their epochs", () => {
  /** @type {[string, number][]} */
  const columns = [["waiting", 1], ["epochs", 2], ["stopped", 2], ["seen", 1]];
  const rows = [[1, 0, 1, 3, 0, 0, 1], [2, 0, 1, 3, 1, 0, 2]];
  const { charts, metrics } = chartsOf({ columns, rows }, []);
  assert.deepEqual(charts.map(({ title }) => title), ["stopped", "seen"]);
  assert.deepEqual(charts[0].series, [["stopped/0", "1 epoch"], ["stopped/1", "3 epochs"]]);
  assert.equal(metrics["stopped/1"], 5);
  const first = chartsOf({ columns, rows: rows.slice(0, 1) }, []);
  assert.deepEqual(first.charts.map(({ title }) => title), [], "nothing has changed yet");
});
