// The candidate in the portrait: why its training ended, its children, its learning curve, and what can be done with it.

import { architectureForm } from "./architecture_form.js";
import { make } from "./elements.js";
import { drawCurve } from "./learning_curve.js";
import { fitnessText } from "./numbers.js";
/** @import { CandidateAbout, CandidateFacts, Choose, Hand, Objective, Send, TrialsState, WaitingArchitecture } from "./types.js" */

const LINKS = 12; // children that are listed before a click shows all

const TEND = [
  { do: "kill", label: "kill", undo: "revive", back: "bring back", title: "take it out of the population, before the next step", again: "put it back into the population" },
  { do: "protect", label: "protect", undo: "release", back: "release", title: "keep it from making room for a child", again: "let it make room for a child again" },
];

/**
 * The buttons of a candidate: what each does, and whether that already waits for the next step (a click then cancels it).
 * @param {string[]} acts
 * @param {Hand} hand
 * @returns {{does: string, label: string, title: string, pending: boolean}[]}
 */
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

/**
 * What the portrait of a candidate leaves out.
 * @param {HTMLElement} parent
 * @param {CandidateAbout | undefined} about
 * @param {Send} send
 * @param {Choose} choose
 * @returns {(state: Pick<TrialsState, "sections" | "candidate" | "status">) => void}
 */
export function candidateView(parent, about, send, choose) {
  if (!about) return () => {};
  const { acts } = about;
  const box = make("div", "naslab-candidate", parent);
  box.style.display = "none";
  const fate = make("div", "naslab-fate", box);
  const family = make("div", "naslab-children", box);
  const curve = make("div", "naslab-training", box);
  const row = make("div", "naslab-tend", box);
  const tend = make("span", "naslab-tend", row);
  const note = make("div", "naslab-refused", box); // above the form, whose text may be long
  note.setAttribute("role", "status");
  const queue = make("div", "naslab-queue", box);
  const writer = acts.includes("add") ? architectureForm(row, box, send, () => shown) : () => {};
  /** @type {CandidateFacts | null} */
  let shown = null; // the facts of the candidate that is shown
  let all = false; // whether all children are listed
  const drawn = new Map(); // the input of each part: unchanged parts are not rebuilt, so that a pressed button survives

  /** @type {(name: string, what: unknown, draw: () => void) => void} */
  function rebuild(name, what, draw) {
    const key = JSON.stringify(what);
    if (drawn.get(name) === key) return;
    drawn.set(name, key);
    draw();
  }

  /** @type {(facts: CandidateFacts, objective: Objective | undefined) => void} */
  function drawFamily(facts, objective) {
    family.replaceChildren();
    if (!facts.brood) return;
    make("span", "naslab-dim", family, facts.brood === 1 ? "child" : `${facts.brood.toLocaleString("en")} children`);
    for (const [each, fitness] of all ? facts.children : facts.children.slice(0, LINKS)) {
      const link = make("button", "naslab-link", family, String(each));
      link.title = `evaluation ${each}: ${fitness !== null && Number.isFinite(fitness) ? fitnessText(fitness, objective, 6) : "failed"}`;
      link.addEventListener("click", () => choose(each));
    }
    const more = facts.brood - LINKS;
    if (more > 0 && !all)
      make("button", "naslab-link", family, `and ${more.toLocaleString("en")} more`).addEventListener("click", () => {
        all = true;
        drawFamily(facts, objective);
      });
    else if (all && facts.brood > facts.children.length) make("span", "naslab-dim", family, `and ${(facts.brood - facts.children.length).toLocaleString("en")} more`);
  }

  /** @type {(hand: Hand) => void} */
  function drawTend(hand) {
    tend.replaceChildren();
    for (const { does, label, title, pending } of tendingOf(acts, hand)) {
      const button = make("button", "naslab-act", tend, label);
      Object.assign(button, { title });
      button.dataset.pending = String(pending);
      button.addEventListener("click", () => send(pending ? { do: "back", act: does, candidate: shown?.candidate } : { do: does, candidate: shown?.candidate }));
    }
  }

  /** @type {(waiting: WaitingArchitecture[]) => void} */
  function drawQueue(waiting) {
    queue.replaceChildren();
    for (const { key, text, pending, act } of waiting) {
      const line = make("div", "naslab-waits", queue);
      make("span", "naslab-dim", line, act === "withdraw" && pending ? "withdrawn" : "proposed next");
      make("span", "naslab-waits-text", line, text).title = text;
      const button = make("button", "naslab-act", line, pending && act === "withdraw" ? "propose it after all" : "withdraw");
      button.dataset.pending = String(pending);
      button.addEventListener("click", () => send(pending ? { do: "back", act, key } : { do: "withdraw", key }));
    }
  }

  return function draw({ sections, candidate, status }) {
    const state = sections.candidate;
    const facts = state && candidate && state.number === candidate.selected ? state.told : null;
    if (facts && facts.candidate !== shown?.candidate) all = false;
    shown = facts || shown;
    box.style.display = facts || (state && (state.waiting.length || state.refused)) ? "" : "none";
    for (const part of [fate, family, curve, row]) part.style.visibility = facts ? "" : "hidden"; // the facts are on their way
    if (!state) return;
    rebuild("queue", state.waiting, () => drawQueue(state.waiting));
    note.textContent = state.refused;
    note.style.display = state.refused ? "" : "none";
    if (!facts) return;
    box.dataset.candidate = String(facts.candidate);
    fate.textContent = facts.fate;
    rebuild("family", [facts.candidate, facts.brood, facts.children, status.objective], () => drawFamily(facts, status.objective));
    rebuild("curve", [facts.curve, facts.ends, status.objective], () => drawCurve(curve, facts, status.objective));
    rebuild("tend", [facts.candidate, state.hand], () => drawTend(state.hand));
    writer(state);
  };
}
