import assert from "node:assert/strict";
import { test } from "node:test";

import { ticksOf, tickTexts } from "../../widgets/naslab_widgets/static/axis.js";

const ranges = [[0, 1], [0.28, 0.61], [-0.052, -0.05], [1.7597, 1.7921], [0, 100], [3, 4], [1e-5, 2e-5], [-1e6, 3e6], [2.23, 2.52], [0, 7]];

for (const [low, high] of ranges)
  test(`the marks from ${low} to ${high} are round, inside, and told apart`, () => {
    const ticks = ticksOf({ low, high });
    assert.ok(ticks.length >= 2 && ticks.length <= 5, String(ticks));
    assert.ok(ticks.every((tick) => tick >= low - 1e-9 * (high - low) && tick <= high + 1e-9 * (high - low)), String(ticks));
    const texts = tickTexts(ticks);
    assert.equal(new Set(texts).size, texts.length, String(texts));
    assert.ok(texts.every((text) => text.length <= 8 && !/^-0(\.0*)?$/.test(text)), String(texts));
    texts.forEach((text, i) => assert.ok(Math.abs(Number(text) - ticks[i]) <= 0.06 * (high - low), `${text} for ${ticks[i]}`));
  });

for (const [low, high] of [[9, 79], [1.762, 1.793]])
  test(`from ${low} to ${high} there are two round numbers, which are not the ends`, () => {
    const ticks = ticksOf({ low, high });
    assert.ok(ticks.length >= 2 && ticks[0] !== low, String(ticks));
  });

test("on an axis of powers the marks are powers of ten", () => {
  assert.deepEqual(ticksOf({ low: 2, high: 5000, powers: true }), [10, 100, 1000]);
});
