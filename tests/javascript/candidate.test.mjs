import assert from "node:assert/strict";
import { test } from "node:test";

import { tendingOf } from "../../widgets/naslab_widgets/static/candidate.js";

const ACTS = ["kill", "revive", "protect", "release", "add", "withdraw"];

const hand = (more) => ({ alive: false, protected: false, killed: false, wished: [], ...more });
const told = (acts, state) => tendingOf(acts, hand(state)).map(({ does, pending }) => [does, pending]);

test("a member can be killed and protected, one that was killed brought back, one that died neither", () => {
  assert.deepEqual(told(ACTS, { alive: true }), [["kill", false], ["protect", false]]);
  assert.deepEqual(told(ACTS, { alive: true, protected: true }), [["kill", false], ["release", false]]);
  assert.deepEqual(told(ACTS, { killed: true }), [["revive", false]]);
  assert.deepEqual(told(ACTS, {}), []);
  assert.deepEqual(told(["add"], { alive: true }), []);
});

test("what the next step is to do is shown as such, so that a click takes it back", () => {
  assert.deepEqual(told(ACTS, { alive: true, wished: ["kill"] }), [["kill", true], ["protect", false]]);
  assert.deepEqual(told(ACTS, { alive: true, protected: true, wished: ["release"] }), [["kill", false], ["release", true]]);
});
