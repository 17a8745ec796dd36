import assert from "node:assert/strict";
import { test } from "node:test";

import { digits, fitnessText, number, scaleOf, shortCount, withUnit } from "../../widgets/naslab_widgets/static/numbers.js";

test("numbers have about three digits, and what is no number is a dash", () => {
  assert.deepEqual([0, 7, 0.12345, 12.345, 123.45, 1e-5, 2e14, NaN, Infinity].map(number), ["0", "7", "0.123", "12.3", "123", "1.0e-5", "2.00e+14", "–", "–"]);
  assert.equal(digits(0.000123456, 3), "0.000123");
  assert.equal(digits(-Infinity, 3), "–");
});

test("counts have a prefix from a thousand on", () => {
  assert.deepEqual([0, 999, 1000, 17400, 2.5e6, 3e9, null].map(shortCount), ["0", "999", "1k", "17.4k", "2.5M", "3G", "–"]);
});

test("a fitness is shown as its objective, shares in per cent", () => {
  assert.equal(scaleOf("%"), 100);
  assert.equal(fitnessText(0.9312, { sign: 1, unit: "%" }, 4), "93.12 %");
  assert.equal(fitnessText(-2.5, { sign: -1, unit: "nats" }, 4), "2.5 nats", "less of a loss is better");
  assert.equal(fitnessText(0.5, null, 4), "0.5");
  assert.equal(fitnessText(NaN, { sign: 1, unit: "%" }, 4), "–");
  assert.equal(withUnit(NaN, "%"), "–");
});
