import assert from "node:assert/strict";
import { test } from "node:test";

import { drawOrder, ORDER_LEFT, ORDER_RIGHT, orderScale } from "../../widgets/naslab_widgets/static/order.js";

test("the axis goes from steps to pixels and back", () => {
  const scale = orderScale({ status: { step: 40, since: 11 } }, 364);
  assert.deepEqual([scale.first, scale.last], [11, 40]);
  for (const step of [11, 25, 40]) assert.ok(Math.abs(scale.at(scale.across(step)) - step) < 1e-9);
  assert.ok(scale.across(11) > ORDER_LEFT && scale.across(40) < 364 - ORDER_RIGHT);
  assert.equal(orderScale({ status: { step: 0 } }, 364).last, 2, "an axis has two steps at least");
});

test("its ticks are round, and at most eight", () => {
  for (const step of [3, 40, 977, 120_000]) {
    const texts = [];
    /** @type {any} */
    const pen = { fillText: (text) => texts.push(Number(text.replaceAll(",", ""))), measureText: () => ({ width: 20 }) };
    drawOrder(pen, orderScale({ status: { step } }, 900), 10, "");
    assert.ok(texts.length >= 1 && texts.length <= 9, String(texts));
    assert.ok(texts.every((tick) => tick >= 1 && tick <= step), String(texts));
    const gap = texts.length > 1 ? texts[1] - texts[0] : texts[0];
    assert.ok(["1", "2", "5"].includes(String(gap).replaceAll("0", "")), String(texts));
    assert.ok(texts.every((tick, i) => i === 0 || tick - texts[i - 1] === texts[1] - texts[0]), String(texts));
  }
});
