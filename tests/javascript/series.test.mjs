import assert from "node:assert/strict";
import { test } from "node:test";

import { axisOf } from "../../widgets/naslab_widgets/static/series.js";

test("an outlier may lie outside an axis, a trend does not", () => {
  const raw = Array.from({ length: 300 }, (_, i) => (i === 150 ? 90 : 1 + (i % 7) / 10));
  const trend = raw.map((_, i) => 1.3 + (i > 290 ? 4 : 0));
  /** @type {{unit: string, direction: "min"}} */
  const chart = { unit: "nats", direction: "min" };
  assert.ok(axisOf(chart, [raw]).high < 5);
  const { low, high } = axisOf(chart, [raw], [trend]);
  assert.ok(low >= 0 && high >= 5.3 && high < 90);
});
