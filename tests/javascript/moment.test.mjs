import assert from "node:assert/strict";
import { test } from "node:test";

import { momentOf, nearestAmong, placeAmong, placeByKey } from "../../widgets/naslab_widgets/static/moment.js";

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
