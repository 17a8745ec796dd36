import assert from "node:assert/strict";
import { test } from "node:test";

import { fitted, hue } from "../../widgets/naslab_widgets/static/canvas.js";

/** @type {any} A pen whose letters are ten pixels wide. */
const pen = { measureText: (text) => ({ width: 10 * text.length }) };

test("a text is cut to its room, and one letter stays", () => {
  assert.equal(fitted(pen, "operation", 90), "operation");
  assert.equal(fitted(pen, "operation", 89), "operati…");
  assert.equal(fitted(pen, "two words", 50), "two…", "no blank before the ellipsis");
  assert.equal(fitted(pen, "operation", 0), "o…");
});

test("a colour follows the ground", () => {
  const operation = { colours: ["#111111", "#eeeeee"] };
  assert.deepEqual([hue(operation, { dark: false }), hue(operation, { dark: true })], ["#111111", "#eeeeee"]);
});
