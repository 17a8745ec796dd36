// The sheet of the candidate in the portrait: why its training ended, its parents and children, its training curve, and
// what a hand does to it or proposes beside it.

import { digits, make, number, roundTicks, scaleOf, shape, widened } from "./shared.js";
import { worthText } from "./status.js";

const LINKS = 12; // children that are shown; the rest by a click
const SIZE = { width: 300, height: 92, left: 40, right: 8, top: 6, bottom: 18 };
const TEND = [
  { do: "kill", label: "kill", undo: "revive", back: "bring back", title: "take it out of the population, before the next step", again: "put it back into the population" },
  { do: "protect", label: "protect", undo: "release", back: "release", title: "keep it from making room for a child", again: "let it make room for a child again" },
];

// Which buttons a candidate has: what each asks for, and whether the next step is to do it, which a click takes back.
export function tendingOf(acts, hand) {
  const found = [];
  for (const each of TEND) {
    if (!acts.includes(each.do)) continue;
    const forth = { does: each.do, label: each.label, title: each.title, pending: false };
    const back = { does: each.undo, label: each.back, title: each.again, pending: false };
    const wish = [forth, back].find(({ does }) => hand.wished.includes(does));
    const now = each.do === "kill" ? hand.killed : hand.protected;
    if (wish) found.push({ ...wish, pending: true, title: `${wish.label}: with the next step; click to take it back` });
    else if (now) found.push(back);
    else if (hand.alive) found.push(forth);
  }
  return found;
}

// A training curve as places in a picture: the line, where each training ended, and the ticks of both axes.
export function curvePlaces(curve, ends, { width, height, left, right, top, bottom } = SIZE) {
  const told = curve.filter(([epochs, fitness]) => Number.isFinite(epochs) && Number.isFinite(fitness));
  if (told.length < 2) return null;
  const values = told.map(([, fitness]) => fitness);
  const [low, high] = widened(Math.min(...values), Math.max(...values), 0.06);
  const last = told[told.length - 1][0];
  const first = Math.min(told[0][0], 0);
  const across = (epochs) => left + ((width - left - right) * (epochs - first)) / (last - first || 1);
  const down = (fitness) => height - bottom - ((height - top - bottom) * (fitness - low)) / (high - low);
  return {
    points: told.map(([epochs, fitness]) => ({ x: across(epochs), y: down(fitness), epochs, fitness })),
    ends: ends.filter((epochs) => Number.isFinite(epochs) && epochs <= last).map(across),
    epochs: roundTicks(first, last, 5).map((tick) => ({ x: across(tick), text: number(tick) })),
    fitness: roundTicks(low, high, 3).map((tick) => ({ y: down(tick), value: tick })),
  };
}

export function candidateView(parent, about, send, choose) {
  if (!about) return () => {};
  const box = make("div", "naslab-candidate", parent);
  box.style.display = "none";
  const fate = make("div", "naslab-fate", box);
  const family = make("div", "naslab-children", box);
  const curve = make("div", "naslab-training", box);
  const row = make("div", "naslab-tend", box);
  const tend = make("span", "naslab-tend", row);
  const note = make("div", "naslab-refused", box); // above what was written, which may be long
  note.setAttribute("role", "status");
  const queue = make("div", "naslab-queue", box);
  const writer = about.acts.includes("add") ? writerView(row, box, send, () => shown) : () => {};
  let shown = null; // what Python told of this candidate
  let all = false; // whether all children are listed
  const drawn = new Map(); // what each part was last made from: a button that is pressed must not be made anew

  function anew(name, what, draw) {
    const key = JSON.stringify(what);
    if (drawn.get(name) === key) return;
    drawn.set(name, key);
    draw();
  }

  function drawFamily(told, objective) {
    family.replaceChildren();
    if (!told.brood) return;
    make("span", "naslab-dim", family, told.brood === 1 ? "child" : `${told.brood.toLocaleString("en")} children`);
    for (const [each, fitness] of all ? told.children : told.children.slice(0, LINKS)) {
      const link = make("button", "naslab-link", family, String(each));
      link.title = `evaluation ${each}: ${Number.isFinite(fitness) ? worthText(fitness, objective, 6) : "failed"}`;
      link.addEventListener("click", () => choose(each));
    }
    const more = told.brood - LINKS;
    if (more > 0 && !all)
      make("button", "naslab-link", family, `and ${more.toLocaleString("en")} more`).addEventListener("click", () => {
        all = true;
        drawFamily(told, objective);
      });
    else if (all && told.brood > told.children.length) make("span", "naslab-dim", family, `and ${(told.brood - told.children.length).toLocaleString("en")} more`);
  }

  function drawTend(hand) {
    tend.replaceChildren();
    for (const { does, label, title, pending } of tendingOf(about.acts, hand)) {
      const button = make("button", "naslab-act", tend, label);
      Object.assign(button, { title });
      button.dataset.pending = pending;
      button.addEventListener("click", () => send(pending ? { do: "back", act: does, candidate: shown.candidate } : { do: does, candidate: shown.candidate }));
    }
  }

  function drawQueue(waiting) {
    queue.replaceChildren();
    for (const { key, text, pending, act } of waiting) {
      const line = make("div", "naslab-waits", queue);
      make("span", "naslab-dim", line, act === "withdraw" && pending ? "withdrawn" : "proposed next");
      make("span", "naslab-waits-text", line, text).title = text;
      const button = make("button", "naslab-act", line, pending && act === "withdraw" ? "propose it after all" : "withdraw");
      button.dataset.pending = pending;
      button.addEventListener("click", () => send(pending ? { do: "back", act, key } : { do: "withdraw", key }));
    }
  }

  return function draw({ sections, candidate, status }) {
    const state = sections.candidate;
    const told = state && candidate && state.number === candidate.selected ? state.told : null;
    if (told && told.candidate !== shown?.candidate) all = false;
    shown = told || shown;
    box.style.display = told || (state && (state.waiting.length || state.refused)) ? "" : "none";
    for (const part of [fate, family, curve, row]) part.style.visibility = told ? "" : "hidden"; // another is on its way
    if (!state) return;
    anew("queue", state.waiting, () => drawQueue(state.waiting));
    note.textContent = state.refused;
    note.style.display = state.refused ? "" : "none";
    if (!told) return;
    box.dataset.candidate = told.candidate;
    fate.textContent = told.fate;
    anew("family", [told.candidate, told.brood, told.children, status.objective], () => drawFamily(told, status.objective));
    anew("curve", [told.curve, told.ends, status.objective], () => drawCurve(curve, told, status.objective));
    anew("tend", [told.candidate, state.hand], () => drawTend(state.hand));
    writer(state);
  };
}

function drawCurve(box, told, objective) {
  box.replaceChildren();
  const found = curvePlaces(told.curve, told.ends);
  box.style.display = found ? "" : "none";
  if (!found) return;
  const { width, height, left, right, bottom, top } = SIZE;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" }, box);
  const [last] = told.curve.slice(-1);
  svg.setAttribute("aria-label", `training curve: ${objective?.name || "fitness"} ${worthText(last[1], objective, 5)} after ${number(last[0])} epochs`);
  const text = (x, y, content, anchor) => (shape("text", { x, y, "text-anchor": anchor, class: "naslab-training-text" }, svg).textContent = content);
  for (const { y, value } of found.fitness) {
    shape("line", { x1: left, x2: width - right, y1: y, y2: y, class: "naslab-training-grid" }, svg);
    text(left - 5, y + 3, digits((objective?.sign ?? 1) * scaleOf(objective?.unit) * value, 4), "end");
  }
  for (const { x, text: tick } of found.epochs) if (x < width - 52) text(x, height - 5, tick, "middle");
  text(width - right, height - 5, `${digits(last[0], 4)} epochs`, "end");
  for (const x of found.ends) shape("line", { x1: x, x2: x, y1: top, y2: height - bottom, class: "naslab-training-end" }, svg);
  shape("polyline", { points: found.points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "), class: "naslab-training-line" }, svg);
  if (found.points.length > 40) return;
  for (const { x, y, epochs, fitness } of found.points) {
    const dot = shape("circle", { cx: x, cy: y, r: 2.4, class: "naslab-training-dot" }, svg);
    shape("title", {}, dot).textContent = `${number(epochs)} epochs: ${worthText(fitness, objective, 6)}`;
  }
}

// Where an architecture is proposed: this one again, or one that is written, beginning with this one.
function writerView(row, box, send, of) {
  const again = make("button", "naslab-act", row, "propose this again");
  again.title = "have this architecture evaluated once more, next";
  const open = make("button", "naslab-act", row, "propose another …");
  open.title = "write an architecture that is to be evaluated next";
  open.setAttribute("aria-expanded", "false");
  const form = make("div", "naslab-writer", box);
  form.style.display = "none";
  const field = make("textarea", "", form);
  Object.assign(field, { rows: 7, spellcheck: false });
  field.setAttribute("aria-label", "architecture to propose: its answers by name or in order as JSON, or its published form");
  const below = make("div", "naslab-tend", form);
  const propose = make("button", "naslab-act", below, "propose");
  const cancel = make("button", "naslab-act", below, "cancel");
  make("span", "naslab-dim", below, "answers by name or in order (JSON), or the published form");
  let done = null;
  const show = (shown) => {
    form.style.display = shown ? "" : "none";
    box.dataset.writing = shown;
    open.setAttribute("aria-expanded", String(shown));
  };
  again.addEventListener("click", () => send({ do: "again", candidate: of().candidate }));
  open.addEventListener("click", () => {
    const shown = form.style.display === "none";
    if (shown) field.value = of().text;
    show(shown);
    if (shown) field.focus();
  });
  cancel.addEventListener("click", () => (show(false), open.focus()));
  propose.addEventListener("click", () => send({ do: "add", text: field.value }));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send({ do: "add", text: field.value });
    else if (event.key === "Escape") (show(false), open.focus());
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return function draw(state) {
    if (done !== null && state.done !== done) show(false); // what was written is taken
    done = state.done;
  };
}
