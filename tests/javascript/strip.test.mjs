import assert from "node:assert/strict";
import { test } from "node:test";

import { keyDoes } from "../../widgets/naslab_widgets/static/strip.js";

// Something that has the focus, of which one knows by which selectors it is found.
const target = (...kinds) => ({ closest: (selectors) => (selectors.split(", ").some((one) => kinds.includes(one)) ? {} : null) });
const TEXT = target("input:not([type=range]):not([type=checkbox])", "input");
const SLIDER = target("input");
const BUTTON = target("button");
const PICTURE = target();

test("Space plays or pauses, and a full stop steps", () => {
  assert.equal(keyDoes({ key: " ", target: PICTURE }, ["play", "step"]), "play");
  assert.equal(keyDoes({ key: " ", target: PICTURE }, ["pause"]), "pause");
  assert.equal(keyDoes({ key: ".", target: PICTURE }, ["play", "step"]), "step");
  assert.equal(keyDoes({ key: ".", target: PICTURE }, ["pause"]), null);
  assert.equal(keyDoes({ key: " ", target: PICTURE }, []), null, "of a search that is over nothing moves");
});

test("a control that uses the key keeps it", () => {
  assert.equal(keyDoes({ key: " ", target: BUTTON }, ["play", "step"]), null);
  assert.equal(keyDoes({ key: ".", target: BUTTON }, ["play", "step"]), "step");
  assert.equal(keyDoes({ key: ".", target: TEXT }, ["play", "step"]), null);
  assert.equal(keyDoes({ key: " ", target: TEXT }, ["play", "step"]), null);
  assert.equal(keyDoes({ key: ".", target: SLIDER }, ["play", "step"]), "step");
  assert.equal(keyDoes({ key: " ", ctrlKey: true, target: PICTURE }, ["play", "step"]), null);
});
