// The sheet of a decision that was clicked: how likely each of its options has become, how sure the policy is, and, of a
// searcher that learns values, what each option is thought to be worth.

import { endText, make, makeSheet, nearestRow, number, shape, widened } from "./shared.js";

const WIDTH = 300; // of a plot
const HEIGHT = 84;
const AGAIN = 1500; // milliseconds between two questions for the same decision while the search goes on

// Lists of numbers over steps as "x,y x,y ..." in a box of so many pixels; gaps are left out. One list a line.
export function linesOf(steps, lists, [low, high], width = WIDTH, height = HEIGHT) {
  const span = steps[steps.length - 1] - steps[0] || 1;
  const across = (step) => (width * (step - steps[0])) / span;
  const down = (value) => height * (1 - (value - low) / (high - low));
  return lists.map((list) => list.flatMap((value, i) => (Number.isFinite(value) ? [`${across(steps[i]).toFixed(1)},${down(value).toFixed(1)}`] : [])).join(" "));
}

export const columnsOf = (rows) => (rows.length ? rows[0].map((_, i) => rows.map((row) => row[i])) : []);

// How sure a policy is: its entropy beside that of one that has learnt nothing.
export function sureness(entropy, most) {
  if (!(most > 0)) return "there is one option only";
  return `entropy ${number(entropy)} of ${number(most)} nats, ${Math.round((100 * entropy) / most)} % of uniform`;
}

// The top of the axis of the probabilities: as much as is needed, and at least twice what nothing learnt is worth.
export const mostLikely = ({ probabilities, uniform }) => Math.min(1, Math.max(2 * uniform, ...probabilities.flat()));

// Where among the steps somebody looks: the last one that is not after that moment; the first before all.
export function placeAt(steps, at) {
  if (at === null) return steps.length - 1;
  const after = steps.findIndex((step) => step > at);
  return after < 0 ? steps.length - 1 : Math.max(0, after - 1);
}

export function decisionView(root, { hues, look, go, redraw }) {
  const { box, title, close } = makeSheet(root, "naslab-decision");
  const refused = make("div", "naslab-sheet-note", box);
  refused.setAttribute("role", "status");
  const body = make("div", "", box);
  const list = make("table", "naslab-decision-options", body);
  const likely = plotView(body, "probability of each option; dashed: while nothing is learnt", go);
  const sure = make("div", "naslab-plot-title", body);
  const entropy = plotView(body, "", go);
  const worth = plotView(body, "value of each option", go);
  let name = null;
  let askedAt = -Infinity;
  let askedFor = null; // the step of the search then
  let focusAfter = false;
  let later = null;

  function open(asked) {
    name = asked;
    focusAfter = true;
    [askedAt, askedFor] = [performance.now(), null];
    look(name);
    redraw();
  }

  const ringOf = () => [...root.querySelectorAll(".naslab-heat-ring")].find((ring) => ring.dataset.decision === name);

  function shut() {
    const was = ringOf();
    name = null;
    redraw();
    was?.focus({ preventScroll: true });
  }
  close.addEventListener("click", shut);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    event.preventDefault();
    event.stopPropagation();
    shut();
  });

  // What Python told is of the step at which it was asked: it is asked again, seldom, as the search goes on.
  function askAgain(step) {
    askedFor ??= step;
    if (step === askedFor) return;
    const wait = askedAt + AGAIN - performance.now();
    if (wait > 0) {
      later ??= setTimeout(() => ((later = null), redraw()), wait);
      return;
    }
    [askedAt, askedFor] = [performance.now(), step];
    look(name);
  }

  function draw(state, theme) {
    box.style.display = name === null ? "none" : "";
    if (name === null) return;
    askAgain(state.status.step);
    const told = state.sections.decision?.name === name ? state.sections.decision : null;
    title.textContent = state.questions[name] ?? name;
    box.setAttribute("aria-label", title.textContent);
    box.dataset.decision = name;
    refused.textContent = told?.refused || "";
    refused.style.display = told?.refused ? "" : "none";
    body.style.display = told && !told.refused ? "" : "none";
    if (told && !told.refused) drawTold(told, state, theme);
    place(ringOf());
    if (focusAfter) close.focus({ preventScroll: true });
    focusAfter = false;
  }

  function drawTold(told, state, theme) {
    const at = placeAt(told.steps, state.at);
    const step = told.steps[at];
    const options = told.probabilities[at].map((_, i) => state.options[name]?.[i] ?? `option ${i + 1}`);
    const colours = options.map((_, i) => hues[i % hues.length][theme.dark ? 1 : 0]);
    list.replaceChildren();
    options.forEach((option, i) => {
      const row = make("tr", "", list);
      make("i", "", make("td", "", row)).style.background = colours[i];
      make("th", "", row, option);
      make("td", "", row, number(told.probabilities[at][i]));
      if (told.values) make("td", "", row, `value ${number(told.values[at][i] ?? NaN)}`);
    });
    const shown = { steps: told.steps, step, theme, colours };
    likely({ ...shown, lists: columnsOf(told.probabilities), range: [0, mostLikely(told)], mark: told.uniform });
    sure.textContent = sureness(told.entropy[at], told.most);
    entropy({ ...shown, lists: [told.entropy], colours: ["currentColor"], range: [0, Math.max(told.most, 1e-9)], mark: told.most });
    const values = told.values ? told.values.flat().filter(Number.isFinite) : [];
    worth(values.length ? { ...shown, lists: columnsOf(told.values), range: widened(Math.min(...values), Math.max(...values), 0.03) } : null);
    box.dataset.step = told.steps[told.steps.length - 1];
  }

  // Beside the row that was clicked, on the other side, and as far up as it must to end with the view.
  function place(ring) {
    if (!ring) return;
    const heat = ring.offsetParent;
    const right = ring.offsetLeft + ring.offsetWidth / 2 > heat.offsetWidth / 2;
    const room = root.clientHeight - box.offsetHeight;
    Object.assign(box.style, { left: right ? "0" : "auto", right: right ? "auto" : "0" });
    box.style.top = `${Math.max(0, Math.min(heat.offsetTop + ring.offsetTop, room))}px`;
  }

  return { open, draw, close: () => clearTimeout(later) };
}

// Lines over the steps, with the ends of both axes; null hides it. A click goes to the step.
function plotView(parent, text, go) {
  const box = make("div", "naslab-plot", parent);
  if (text) make("div", "naslab-plot-title", box, text);
  const frame = make("div", "naslab-plot-frame", box);
  const svg = shape("svg", { viewBox: `0 -2 ${WIDTH} ${HEIGHT + 4}`, preserveAspectRatio: "none", role: "img", "aria-label": text || "entropy of the decision" }, frame);
  const scale = make("div", "naslab-plot-scale", frame);
  const [top, bottom] = [make("span", "", scale), make("span", "", scale)];
  const ends = make("div", "naslab-plot-ends", box);
  const [first, last] = [make("span", "", ends), make("span", "", ends)];
  let steps = [];
  svg.addEventListener("click", (event) => {
    const { left, width } = svg.getBoundingClientRect();
    const at = steps[0] + ((event.clientX - left) / width) * (steps[steps.length - 1] - steps[0]);
    if (steps.length) go(nearestRow(steps.map((step) => [step]), at)[0]);
  });

  return function draw(told) {
    box.style.display = told ? "" : "none";
    if (!told) return;
    const { lists, range, mark, step, theme, colours } = told;
    steps = told.steps;
    svg.replaceChildren();
    const line = (points, attributes) => shape("polyline", { points, fill: "none", "vector-effect": "non-scaling-stroke", ...attributes }, svg);
    const [from, to] = [steps[0], steps[steps.length - 1]];
    if (mark !== undefined) line(linesOf([0, 1], [[mark, mark]], range)[0], { stroke: theme.text, "stroke-width": 1, "stroke-dasharray": "4 3", opacity: 0.6 });
    linesOf(steps, lists, range).forEach((points, i) => line(points, { stroke: colours[i], "stroke-width": 1.6, class: "naslab-plot-line" }));
    const x = ((step - from) / (to - from || 1)) * WIDTH;
    if (step !== to) line(`${x},-2 ${x},${HEIGHT + 2}`, { stroke: theme.text, "stroke-width": 1 });
    [top.textContent, bottom.textContent] = [endText(range[1], ...range), endText(range[0], ...range)];
    [first.textContent, last.textContent] = [from.toLocaleString("en"), to.toLocaleString("en")];
  };
}
