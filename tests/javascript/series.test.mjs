import assert from "node:assert/strict";
import { test } from "node:test";

import { axisOf, bestAt, middle, nearestPlace, noisy, smoothed, suitsPowers } from "../../widgets/naslab_widgets/static/series.js";

test("an outlier may lie outside an axis, a trend does not", () => {
  const raw = Array.from({ length: 300 }, (_, i) => (i === 150 ? 90 : 1 + (i % 7) / 10));
  const trend = raw.map((_, i) => 1.3 + (i > 290 ? 4 : 0));
  /** @type {{unit: string, direction: "min"}} */
  const chart = { unit: "nats", direction: "min" };
  assert.ok(axisOf(chart, [raw]).high < 5);
  const { low, high } = axisOf(chart, [raw], [trend]);
  assert.ok(low >= 0 && high >= 5.3 && high < 90);
});

test("values are noisy if they go back and forth, and counts never are", () => {
  assert.equal(noisy([0.1, 0.9, 0.2, 0.8, 0.1, 0.9], "%"), true);
  assert.equal(noisy([0.1, 0.2, 0.3, 0.4], "%"), false);
  assert.equal(noisy([1, 9, 1, 9, 1, 9], ""), false);
  assert.equal(noisy([0.1, NaN], "%"), false);
});

test("a running mean begins without a bias, and gaps keep it", () => {
  const mean = smoothed([...Array(100).fill(2), NaN, ...Array(100).fill(2)]);
  assert.ok(mean.every((value) => Math.abs(value - 2) < 1e-12));
  assert.deepEqual(smoothed([3, 5]), [3, 5], "of few values each is its own mean");
  assert.ok(Number.isNaN(smoothed([NaN, 1])[0]));
});

test("the best is the greatest or the least, and the nearest step is found", () => {
  assert.deepEqual([bestAt([1, NaN, 3, 2], "max"), bestAt([1, NaN, 3, 2], "min"), bestAt([1], null), bestAt([NaN], "max")], [2, 0, -1, -1]);
  assert.deepEqual([nearestPlace([1, 5, 9], 6), nearestPlace([1, 5, 9], 100)], [1, 2]);
});

test("powers of ten suit a perplexity, and no accuracy", () => {
  assert.equal(suitsPowers({ direction: "min", unit: "" }, 5, 4000), true);
  assert.equal(suitsPowers({ direction: "min", unit: "nats" }, 5, 4000), false);
  assert.equal(suitsPowers({ direction: "max", unit: "" }, 5, 4000), false);
  assert.equal(suitsPowers({ direction: "min", unit: "" }, 5, 40), false);
});

test("one outlier does not set the range", () => {
  const values = Array.from({ length: 500 }, (_, i) => 0.5 + i / 1000);
  const [low, high] = middle([[...values, 1e6]]);
  assert.ok(low < 0.51 && high > 0.98 && high < 1.1);
  assert.deepEqual(middle([[3, 7, 5]]), [3, 7], "counts keep their ends");
  assert.deepEqual(middle([[]]), [0, 1]);
});
