import assert from "node:assert/strict";
import { test } from "node:test";

import { logAt, markUnder, momentOf, momentRow, nearestAmong, placeAmong, placeByKey, placedMarks, rowsUntil, whenAtRest } from "../../widgets/naslab_widgets/static/moment.js";
import { follow, MOST_ROWS } from "../../widgets/naslab_widgets/static/shared.js";
import { trialsAt } from "../../widgets/naslab_widgets/static/stream.js";

const rowsAt = (...steps) => steps.map((step) => [step, 10 * step]);

test("a moment is a whole step that is done, and the last one is now", () => {
  assert.equal(momentOf(39.6, 93), 40);
  assert.equal(momentOf(-5, 93), 1);
  assert.equal(momentOf(93, 93), null);
  assert.equal(momentOf(92.6, 93), null);
  assert.equal(momentOf(120, 93), null);
});

test("keys go one step, ten, to the ends, from mark to mark, and back to now", () => {
  const now = { at: null, first: 1, last: 93, marks: [10, 46, 46, 80] };
  const back = { ...now, at: 46 };
  const to = (key, state, shiftKey = false) => placeByKey({ key, shiftKey }, state);
  assert.equal(to("ArrowLeft", now), 92);
  assert.equal(to("ArrowLeft", back), 45);
  assert.equal(to("ArrowRight", back), 47);
  assert.equal(to("ArrowLeft", back, true), 36);
  assert.equal(to("ArrowRight", back, true), 56);
  assert.equal(to("ArrowRight", { ...now, at: 92 }), null, "the last step is now");
  assert.equal(to("ArrowRight", now), null);
  assert.equal(to("ArrowLeft", { ...now, at: 4 }, true), 1, "not before the first");
  assert.equal(to("Home", now), 1);
  assert.equal(to("End", back), null);
  assert.equal(to("[", back), 10);
  assert.equal(to("]", back), 80);
  assert.equal(to("[", now), 80);
  assert.equal(to("[", { ...now, at: 10 }), 1);
  assert.equal(to("]", { ...now, at: 80 }), null);
  assert.equal(to("Escape", back), null);
  assert.equal(to("Escape", now), undefined, "Escape is for others while nobody looks back");
  assert.equal(to("b", back), undefined);
  assert.equal(placeByKey({ key: "ArrowLeft" }, { ...back, at: 2.5, move: (place, by) => place + by / 2 }), 2);
});

test("marks of a kind that would lie on one another are one, and no more are drawn than there is room for", () => {
  const across = (step) => step / 1000;
  const marks = [[1000, "changed", "a"], [3000, "changed", "b"], [3000, "fork", "c"], [20000, "changed", "d"]];
  const placed = placedMarks(marks, across);
  assert.deepEqual(placed.map(({ place, kind, sentences }) => [place, kind, sentences]), [[1000, "changed", ["a", "b"]], [3000, "fork", ["c"]], [20000, "changed", ["d"]]]);
  assert.equal(markUnder(placed, 17).place, 20000);
  assert.equal(markUnder(placed, 12), null);
  const many = Array.from({ length: 100_000 }, (_, i) => [i, "changed", `mark ${i}`]);
  const room = placedMarks(many, (step) => (800 * step) / 100_000);
  assert.ok(room.length <= 800 / 7 + 1 && Math.max(...room.map(({ sentences }) => sentences.length)) <= 6);
  assert.equal(room.reduce((sum, { count }) => sum + count, 0), 100_000);
});

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

test("the log stands as it stood then", () => {
  const status = { log: [{ step: 7, text: "x" }, { step: 9, text: "w_lr" }], marks: [[2, "a"], [3, "b"], [4, "c"], [5, "d"], [9, "w_lr"]] };
  assert.equal(logAt(status, null), status.log);
  assert.deepEqual(logAt(status, 4).map(({ text }) => text), ["a", "b", "c"]);
  assert.deepEqual(logAt(status, 9).map(({ text }) => text), ["c", "d", "x", "w_lr"]);
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

test("a million steps grow neither what the page keeps nor what a moment takes to find", () => {
  /** @type {(message: object, buffers: DataView[]) => void} */
  let hear;
  const model = { on: (_, listener) => (hear = listener), off() {}, send() {} };
  const width = 40;
  const { state, close } = follow(model, width, () => {});
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

test("trials at a moment are those until then, with the best until then", () => {
  const C = { step: 0, number: 1, fitness: 2, candidate: 3 };
  const rows = [[1, 1, 0.5, 1], [2, 2, 0.9, 2], [3, 3, NaN, 3], [4, 4, 0.7, 1], [5, 5, 0.95, 5]];
  const state = { told: null, byNumber: new Map(rows.map((row) => [row[1], row])), trials: rows, continued: new Set([1]), version: 3, status: { step: 5, best: { number: 5 }, child: { step: 5 } } };
  assert.deepEqual(trialsAt(state, null, C), {}, "now is as it is");
  const then = trialsAt(state, 3, C);
  assert.deepEqual(then.trials.map(([step]) => step), [1, 2, 3]);
  assert.equal(then.status.best.number, 2);
  assert.equal(then.status.step, 3);
  assert.deepEqual([...then.continued], [], "it was trained on later");
  assert.deepEqual([...trialsAt(state, 4, C).continued], [1]);
  const told = trialsAt({ ...state, told: { step: 3, best: 77, child: { step: 3 }, near: [[3, 9, 0.1, 9]] } }, 3, C);
  assert.equal(told.status.best.number, 77, "Python knows all trials");
  assert.equal(told.status.child.step, 3);
  assert.deepEqual(told.trials.map((row) => row[1]), [1, 2, 3, 9]);
});

test("on an axis without steps the next place is the next that a search was at", () => {
  const lists = [[0.1, 0.2, 0.3, 0.4], [0.15, 0.3, 0.45], []];
  assert.equal(placeAmong(lists, 0.2, 1), 0.3);
  assert.equal(placeAmong(lists, 0.2, -1), 0.15);
  assert.equal(placeAmong(lists, 0.1, 3), 0.3);
  assert.equal(placeAmong(lists, 0.3, -10), 0.1);
  assert.equal(placeAmong(lists, 0.45, 1), 0.45, "there is no further one");
  assert.equal(nearestAmong(lists, 0.17), 0.15);
  assert.equal(nearestAmong(lists, 9), 0.45);
  assert.equal(nearestAmong([[]], 3), 3);
});
