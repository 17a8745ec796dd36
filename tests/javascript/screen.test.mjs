import assert from "node:assert/strict";
import { test } from "node:test";

import { enlarged, nextSize, SIZES } from "../../widgets/naslab_widgets/static/screen.js";

test("a panel grows with the screen, and never shrinks", () => {
  assert.equal(enlarged(800), 1);
  assert.equal(enlarged(1920), 1.95);
  assert.equal(enlarged(7680), 2.5);
});

test("sizes come round again", () => {
  let size = 1;
  const seen = SIZES.map(() => (size = nextSize(size)));
  assert.deepEqual([...seen].sort(), [...SIZES].sort());
  assert.equal(size, 1);
});
