// Before the run: how long it will take, in one line, and range tests of the learning rates.

import { make } from "./elements.js";
import { rangeTestView } from "./range_test.js";
/** @import { BeforeState, DrawSection, SectionContext, Timer } from "./types.js" */

const PATIENCE = 700; // ms before a forecast is asked for: "run all cells" starts the search at once and needs none

/**
 * One line with the forecast and its buttons, and below it the range tests.
 * @param {HTMLElement} parent
 * @param {Pick<SectionContext, "send" | "tooltip">} context
 * @returns {DrawSection}
 */
export function beforeSection(parent, { send, tooltip }) {
  const root = make("div", "naslab-before", parent);
  root.hidden = true; // until the first state arrives
  const line = make("div", "naslab-before-line", root);
  const text = make("span", "naslab-forecast", line);
  const trouble = make("span", "naslab-before-trouble", line);
  /** @type {(name: string, label: string, title: string) => HTMLButtonElement} */
  const button = (name, label, title) => {
    const made = make("button", "naslab-button", line, label);
    made.type = "button";
    made.title = title;
    made.addEventListener("click", () => send({ do: name }));
    return made;
  };
  const ask = button("forecast", "How long?", "Try on a copy how long the search will take, and how much memory");
  const call = button("call", "Call it once", "Your estimator is called once more than it would have been");
  const find = button("rates", "Find rates", "Let each learning rate grow on a copy, and see where the loss falls and where it explodes");
  const stop = button("stop", "Stop", "Enough of it");
  const pictures = make("div", "naslab-rates", root);
  const tests = new Map(); // name of a learning rate -> its view
  /** @type {Timer | undefined} */
  let timer;
  let asked = false;

  return function draw(/** @type {BeforeState} */ state) {
    root.hidden = !state.shown;
    if (!state.shown) {
      clearTimeout(timer);
      tooltip.hide();
      return;
    }
    if (!asked && state.quick) {
      asked = true;
      timer = setTimeout(() => send({ do: "look" }), PATIENCE);
    }
    text.textContent = state.line || (state.busy === "forecast" ? "trying two steps on a copy …" : "");
    text.hidden = !text.textContent;
    trouble.textContent = state.trouble;
    trouble.hidden = !state.trouble;
    ask.hidden = Boolean(state.busy || state.line || (state.quick && !state.trouble));
    call.hidden = Boolean(state.busy) || !state.trouble.includes("call=True");
    find.hidden = Boolean(state.busy) || !state.findable.length;
    stop.hidden = !state.busy;
    const names = state.rates.map(({ name }) => name);
    for (const [name, one] of tests) if (!names.includes(name)) (one.remove(), tests.delete(name));
    for (const test of state.rates) {
      if (!tests.has(test.name)) tests.set(test.name, rangeTestView(pictures, { send, tooltip }));
      tests.get(test.name).draw(test);
    }
  };
}
