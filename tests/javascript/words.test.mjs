import assert from "node:assert/strict";
import { test } from "node:test";

import { evaluationName, ordinal, trialLines } from "../../widgets/naslab_widgets/static/words.js";

test("an evaluation is called by its number, a training that goes on by its candidate, too", () => {
  assert.equal(evaluationName({ number: 30, candidate: 30, stage: 0 }), "evaluation 30");
  assert.equal(evaluationName({ number: 35, candidate: 33, stage: 1 }), "evaluation 35: candidate 33, 2nd training");
  assert.deepEqual([1, 2, 3, 4, 11, 12, 13, 21, 112].map(ordinal), ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]);
});

test("the tooltip of a trial says what is known of it", () => {
  const names = ["number", "candidate", "stage", "fitness", "origin", "fidelity", "hurdle", "missed", "rank", "regret", "parent", "second_parent"];
  const C = /** @type {any} */ (Object.fromEntries(names.map((name, column) => [name, column])));
  const row = (given) => Float64Array.from(names, (name) => given[name] ?? NaN);
  const state = /** @type {any} */ ({ status: { origins: [["mutation"]], objective: { name: "accuracy", sign: 1, unit: "%" } }, continued: new Set(), hurdled: true, longest: 30 });
  const texts = (given, truth = null) => trialLines(row({ stage: 0, origin: 0, ...given }), state, C, truth, "red").map(({ text }) => text);
  assert.deepEqual(texts({ number: 7, candidate: 7 }), ["evaluation 7", "mutation", "failed"]);
  assert.deepEqual(texts({ number: 8, candidate: 8, fitness: 0.5, parent: 3, second_parent: 4 }).slice(2), ["accuracy 50 %", "from evaluation 3 and 4"]);
  assert.deepEqual(texts({ number: 9, candidate: 9, fitness: 0.5, hurdle: 0.6, missed: 1 }).slice(2), ["accuracy 50 %", "stopped by the hurdle 60 %"]);
  assert.deepEqual(texts({ number: 9, candidate: 9, fitness: 0.5, rank: 1200, regret: 0.25 }, { metric: "accuracy", candidates: 15625 }).at(-1), "true rank 1,200 of 15,625, regret 0.250");
});
