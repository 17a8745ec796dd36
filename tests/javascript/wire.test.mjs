import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { connect } from "../../widgets/naslab_widgets/static/wire.js";

/** @type {(message: { type: string, number?: number, fresh?: boolean }) => boolean} */
const opens = ({ fresh }) => Boolean(fresh);

function page() {
  const sent = [];
  const switched = [];
  let hear = null;
  const kernel = {
    supportsSubshells: true,
    get commsOverSubshells() {
      return switched.at(-1) ?? "perCommTarget";
    },
    set commsOverSubshells(value) {
      switched.push(value);
    },
  };
  const model = {
    send: ({ type }) => sent.push(type),
    on: (_, listener) => (hear = listener),
    off: () => {},
    widget_manager: { kernel },
  };
  return { sent, switched, kernel, model, say: (message) => hear(message, []) };
}

test("a page that nobody answers says hello through another subshell, and stops once it is answered", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { sent, switched, model, say } = page();
  const { close } = connect(model, opens, () => {});
  mock.timers.tick(2000);
  assert.deepEqual(sent, ["hello"]);
  mock.timers.tick(1000);
  assert.deepEqual([sent, switched], [["hello", "hello"], ["disabled", "perCommTarget"]]);
  say({ number: 1, fresh: true });
  mock.timers.tick(100000);
  assert.deepEqual(sent, ["hello", "hello"]);
  close();
  mock.timers.reset();
});

test("the widgets of one kernel change its subshell once, and those that are closed or answered not at all", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const one = page();
  const other = page();
  other.model.widget_manager = one.model.widget_manager;
  const closes = [one, other].map(({ model }) => connect(model, opens, () => {}).close);
  const gone = page();
  connect(gone.model, opens, () => {}).close();
  const old = page();
  old.kernel.supportsSubshells = false;
  closes.push(connect(old.model, opens, () => {}).close);
  mock.timers.tick(3000);
  assert.deepEqual(one.switched, ["disabled", "perCommTarget"]);
  assert.deepEqual([one, other, gone, old].map(({ sent }) => sent.length), [2, 2, 1, 1]);
  closes.forEach((close) => close());
  mock.timers.reset();
});
