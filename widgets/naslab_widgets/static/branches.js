// The branches of a search, and the two ways to make one: to fork and to go back, at the moment that the panel looks at.

import { drawTree } from "./branch_tree.js";
import { make } from "./elements.js";
import { forkForm } from "./fork_form.js";
/** @import { BranchesAbout, BranchesState, DrawSection, SectionContext, Timer, Work } from "./types.js" */

const REST = 150; // ms for which the cursor rests before the cost of going there is asked for

/**
 * The line with both buttons, what they open below it, and the tree.
 * @param {HTMLElement} parent
 * @param {Pick<SectionContext<BranchesAbout>, "send" | "about" | "cursor" | "redraw" | "places">} context
 * @returns {DrawSection}
 */
export function branchesSection(parent, { send, about, cursor, redraw, places }) {
  const box = make("div", "naslab-branches", parent);
  const line = make("div", "naslab-branches-line", box);
  const fork = branchButton(line, "naslab-fork", "Fork here…", "A second search from this moment on, with one change");
  const back = branchButton(line, "naslab-back", "Go back here…", "Take this search back to this moment");
  const news = make("span", "naslab-branches-told", line);
  news.setAttribute("role", "status");
  const bar = make("progress", "naslab-branches-progress", line);
  const cancel = branchButton(line, "naslab-cancel", "Cancel", "Leave everything as it is");
  if (about.forks) places.doing = line; // the ledger's buttons stand beside these
  const form = about.forks ? forkForm(box, about, send) : null;
  const sure = make("div", "naslab-branches-form", box);
  const tree = make("div", "naslab-tree", box);
  tree.setAttribute("role", "group");
  tree.setAttribute("aria-label", "branches: Enter shows one, Ctrl+Enter adds it to the comparison");
  bar.hidden = cancel.hidden = sure.hidden = tree.hidden = true; // until the first state arrives
  form?.show(false);
  let open = ""; // "fork", "back" or nothing
  let at = 0; // the step that the form is about
  /** @type {number | null} */
  let asked = null;
  /** @type {Timer | undefined} */
  let timer;
  /** @type {Pick<BranchesState, "name"> & Partial<BranchesState>} */
  let latest = { name: "" };

  fork.addEventListener("click", () => toggle("fork"));
  back.addEventListener("click", () => toggle("back"));
  cancel.addEventListener("click", () => send({ do: "cancel" }));
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && open) {
      event.stopPropagation();
      toggle("");
    }
  });

  /** @type {(which: string) => void} */
  function toggle(which) {
    const from = open === "fork" ? fork : back;
    open = open === which ? "" : which;
    if (open === "fork") form?.begin(at, latest.name);
    if (open === "back") confirmBack();
    showForms(); // now: what is hidden until the next frame cannot take the focus
    redraw();
    if (open === "fork") form?.focus();
    if (open === "back") sure.querySelector("button")?.focus();
    if (!open) from.focus(); // what had it is hidden now
  }

  function showForms() {
    form?.show(open === "fork");
    sure.hidden = open !== "back";
  }

  function confirmBack() {
    const step = at;
    sure.replaceChildren();
    const left = latest.told && latest.told.step === step && latest.told.left;
    make("span", "", sure, `Go back to step ${step}? ${left ? `${left[0].toUpperCase()}${left.slice(1)} in the run as abandoned.` : ""}`);
    branchButton(sure, "naslab-sure", "Go back", "").addEventListener("click", () => {
      send({ do: "back", step });
      cursor.set({ at: null });
      toggle("");
    });
    branchButton(sure, "", "Stay", "").addEventListener("click", () => toggle(""));
  }

  if (form)
    form.onSend(() => {
      cursor.set({ at: null });
      toggle("");
    });

  return function draw(/** @type {BranchesState} */ state, status) {
    latest = state;
    const looking = cursor.at !== null;
    at = looking ? Math.min(Math.round(cursor.at), status.step) : status.step;
    if (!open && about.forks && asked !== at && !state.busy) ask();
    const busy = state.busy;
    line.hidden = !about.forks;
    fork.disabled = Boolean(busy);
    back.disabled = Boolean(busy) || at >= status.step;
    fork.setAttribute("aria-expanded", String(open === "fork"));
    back.setAttribute("aria-expanded", String(open === "back"));
    bar.hidden = cancel.hidden = !busy;
    if (busy) {
      bar.max = Math.max(busy.total, 1);
      bar.value = busy.done;
    }
    news.textContent = busy ? workText(busy) : state.error || momentText(at, looking, state.told);
    news.title = news.textContent;
    news.classList.toggle("naslab-branches-error", Boolean(state.error && !busy));
    showForms();
    drawTree(tree, state.rows, status, (runs) => {
      cursor.set({ at: null }); // each branch keeps its own moment
      send({ do: "show", runs });
    });
  };

  // Asks for the cost of going back once the cursor rests; staying costs nothing.
  function ask() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      asked = at;
      if (cursor.at !== null) send({ do: "ask", step: at });
    }, REST);
  }
}

/**
 * What is under way, in words.
 * @param {Work} work
 * @returns {string}
 */
export function workText({ what, step, done, total }) {
  const doing = what === "fork" ? `forking at step ${step}` : `going back to step ${step}`;
  return total ? `${doing}: ${done} of ${total} steps done again` : doing;
}

/**
 * The step that is shown and, if known, what going back to it costs.
 * @param {number} at
 * @param {boolean} looking
 * @param {{step: number, again: string} | null} cost
 * @returns {string}
 */
export function momentText(at, looking, cost) {
  if (!looking) return "";
  const again = cost && cost.step === at ? `: ${cost.again}` : "";
  return `step ${at}${again}`;
}

/**
 * @param {HTMLElement} parent
 * @param {string} className
 * @param {string} text
 * @param {string} title
 * @returns {HTMLButtonElement}
 */
function branchButton(parent, className, text, title) {
  const found = make("button", `naslab-button ${className}`, parent, text);
  found.type = "button";
  if (title) found.title = title;
  return found;
}
