import assert from "node:assert/strict";
import { test } from "node:test";

import { paced, whenAtRest } from "../../widgets/naslab_widgets/static/pace.js";

test("a dear picture is drawn a few times a second, and the last state always", async () => {
  let now = 0;
  const drawn = [];
  let asked = 0;
  const pace = paced([(state) => drawn.push(state)], () => (asked += 1), { period: 30, clock: () => now });
  for (let step = 0; step < 10; step += 1) {
    now = 10 * step;
    pace.draw(true, "light", step);
  }
  assert.deepEqual(drawn, [0, 3, 6, 9]);
  now = 95;
  pace.draw(true, "light", 10);
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(asked, 1, "what was left out is asked for later");
  now = 130;
  pace.draw(true, "light", 10);
  assert.equal(drawn.at(-1), 10);
  pace.close();
});

test("at rest, and when something else changes, it is drawn at once", () => {
  const drawn = [];
  const pace = paced([(state) => drawn.push(state)], () => {}, { period: 1000, clock: () => 0 });
  pace.draw(true, "light", 1);
  pace.draw(true, "dark", 2);
  pace.draw(false, "dark", 3);
  pace.draw(false, "dark", 4);
  assert.deepEqual(drawn, [1, 2, 3, 4]);
  pace.close();
});

test("Python is asked once, when the moment has rested, and only for what is not known", async () => {
  const asked = [];
  const rest = whenAtRest((step) => asked.push(step), 20);
  const pause = () => new Promise((done) => setTimeout(done, 60));
  for (const step of [40, 41, 42]) rest.at(step, true);
  await pause();
  assert.deepEqual(asked, [42]);
  rest.at(42, true);
  await pause();
  assert.deepEqual(asked, [42]);
  rest.at(43, true);
  rest.at(43, false);
  await pause();
  assert.deepEqual(asked, [42]);
  rest.close();
});
