import assert from "node:assert/strict";
import { test } from "node:test";

import { inForce, placeOf, requested, valueAt } from "../../widgets/naslab_widgets/static/controls.js";

for (const setting of [
  { low: 1e-5, high: 1, log: true },
  { low: -2, high: 3, log: false },
]) {
  test(`a slider from ${setting.low} to ${setting.high} goes there and back`, () => {
    assert.equal(valueAt(setting, 0), setting.low);
    assert.equal(valueAt(setting, 200), setting.high);
    for (let place = 0; place <= 200; place += 1) {
      const value = valueAt(setting, place);
      assert.ok(value >= setting.low && value <= setting.high);
      assert.ok(Math.abs(placeOf(setting, value) - place) <= 1);
    }
    assert.equal(placeOf(setting, 1e9), 200);
  });
}

test("the value in force is told where a schedule makes it another", () => {
  assert.equal(inForce(0.1, 0.1), "0.1");
  assert.equal(inForce(0.1, undefined), "0.1");
  assert.equal(inForce(0.1, 0.09049), "0.1, now 0.0905");
});

test("a slider that was moved stands against every older answer, until its own has come", () => {
  const request = requested(() => assert.fail("the answer has come"), 5000);
  assert.ok(request.admits(3));
  request.set(5);
  for (const older of [3, 3, 4]) assert.ok(!request.admits(older));
  assert.ok(request.admits(5));
  assert.ok(request.admits(3), "then the search decides");
});

test("a request that is not answered gives way after a while", async () => {
  await new Promise((resolve) => {
    const request = requested(() => {
      assert.ok(request.admits(3));
      resolve(undefined);
    }, 20);
    request.set(5);
    assert.ok(!request.admits(3));
  });
});
