import assert from "node:assert/strict";
import { test } from "node:test";

import { followRows, momentRow, MOST_ROWS, rowsUntil } from "../../widgets/naslab_widgets/static/rows.js";

const rowsAt = (...steps) => steps.map((step) => [step, 10 * step]);

test("the row of a moment is the nearest of those that the page has, or was told when it asked", () => {
  const rows = rowsAt(1, 5, 9, 13);
  assert.equal(momentRow([], [], 4), undefined);
  assert.equal(momentRow(rows, [], null)[0], 13);
  assert.equal(momentRow(rows, [], 6)[0], 5);
  assert.equal(momentRow(rows, rowsAt(6, 7, 8), 6)[0], 6);
  assert.equal(momentRow(rows, rowsAt(6, 7, 8), 13)[0], 13, "what was asked for earlier is not in the way");
  assert.equal(momentRow(rows, [], 400)[0], 13);
});

test("rows up to a moment", () => {
  const rows = rowsAt(1, 5, 9, 13);
  assert.equal(rowsUntil(rows, null), rows);
  assert.deepEqual(rowsUntil(rows, 9).map(([step]) => step), [1, 5, 9]);
  assert.deepEqual(rowsUntil(rows, 8.5).map(([step]) => step), [1, 5]);
  assert.deepEqual(rowsUntil(rows, 0), []);
  assert.deepEqual(rowsUntil(rows, 51, 1).map(([step]) => step), [1, 5]);
});

test("a million steps grow neither what the page keeps nor what a moment takes to find", () => {
  /** @type {(message: object, buffers: DataView[]) => void} */
  let hear;
  const model = { on: (_, listener) => (hear = listener), off() {}, send() {} };
  const width = 40;
  const { state, close } = followRows(model, width, () => {});
  const batch = 500;
  let most = 0;
  const message = (number, type) => {
    const numbers = new Float64Array(batch * width);
    for (let i = 0; i < batch; i++) numbers[i * width] = number * batch + i + 1;
    hear({ type, number, status: state.status }, [new DataView(numbers.buffer)]);
    most = Math.max(most, state.rows.length);
  };
  const seconds = (count) => {
    const begun = performance.now();
    for (let i = 0; i < count; i++) momentRow(state.rows, state.near, 1 + ((i * 7919) % state.rows.at(-1)[0]));
    return performance.now() - begun;
  };
  message(0, "snapshot");
  for (let number = 1; number < 8; number++) message(number, "rows");
  seconds(20_000);
  const early = Math.min(...[1, 2, 3].map(() => seconds(20_000)));
  for (let number = 8; number < 2000; number++) message(number, "rows");
  const late = Math.min(...[1, 2, 3].map(() => seconds(20_000)));
  assert.equal(state.rows.at(-1)[0], 1_000_000);
  assert.ok(most <= MOST_ROWS && state.rows.length > MOST_ROWS / 4, `${most} rows`);
  assert.ok(late < 10 * early + 50, `${late} ms for 20,000 moments, ${early} ms at the beginning`);
  hear({ type: "moment", step: 499_999 }, [new DataView(Float64Array.from({ length: width }, (_, i) => (i ? 0 : 499_999)).buffer)]);
  assert.equal(momentRow(state.rows, state.near, 499_999)[0], 499_999);
  close();
});
