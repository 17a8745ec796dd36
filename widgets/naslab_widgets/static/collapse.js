// The line that says whether the search collapses to skip connections. It is always there, and its buttons open sheets over
// the pictures, so that nothing on the page jumps.

import { make } from "./elements.js";
/** @import { DrawSection, Level, SectionContext, WatchState } from "./types.js" */

const SIGN = { grey: "nothing unusual", amber: "a warning", red: "an alarm" };

/**
 * The last change of the warning level up to a step, or null.
 * @param {WatchState["turns"]} turns
 * @param {number} step
 * @returns {WatchState["turns"][number] | null}
 */
export function standingAt(turns, step) {
  let found = null;
  for (const turn of turns) if (turn[0] <= step) found = turn;
  return found;
}

/**
 * A lamp, a sentence, and three buttons.
 * @param {HTMLElement} parent
 * @param {Pick<SectionContext, "send" | "cursor" | "redraw">} context
 * @returns {DrawSection}
 */
export function watchSection(parent, { send, cursor, redraw }) {
  const box = make("div", "naslab-watch", parent);
  const lamp = make("span", "naslab-lamp", box);
  const sentence = make("span", "naslab-watch-sentence", box);
  sentence.setAttribute("role", "status");
  const open = { name: /** @type {string | null} */ (null) };
  const sheet = make("div", "naslab-watch-sheet", box);
  sheet.hidden = true;
  /** @type {(name: string, label: string, title: string, action: () => void) => HTMLButtonElement} */
  const button = (name, label, title, action) => {
    const made = make("button", `naslab-button naslab-watch-${name}`, null, label);
    made.type = "button";
    made.title = title;
    made.addEventListener("click", action);
    box.insertBefore(made, sheet);
    return made;
  };
  /** @type {(name: string) => () => void} */
  const toggles = (name) => () => {
    open.name = open.name === name ? null : name;
    redraw();
  };
  const why = button("why", "why?", "Three sentences, and the papers", toggles("why"));
  const measure = button("measure", "measure λ", "The dominant eigenvalue of the Hessian of the alphas, now; about the time of some steps", () => {
    send({ do: "measure" });
    open.name = "why"; // the sheet in which the value will appear
    redraw();
  });
  const cures = button("cures", "what people do", "Forks from before it began, each with one change", toggles("cures"));
  for (const toggle of [why, cures]) toggle.setAttribute("aria-haspopup", "dialog");
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !open.name) return;
    event.stopPropagation();
    (open.name === "why" ? why : cures).focus();
    open.name = null;
    redraw();
  });
  let shown = ""; // the input of the sheet: it is not rebuilt under the pointer while unchanged

  return function draw(/** @type {WatchState} */ state) {
    const past = cursor.at === null ? null : standingAt(state.turns, cursor.at);
    /** @type {[level: Level, text: string]} */
    const [level, text] =
      cursor.at === null ? [state.level, state.sentence] : past ? [past[1], `${past[2]} (as of step ${past[0]})`] : ["grey", "nothing unusual"];
    box.dataset.level = level;
    lamp.setAttribute("aria-label", SIGN[level]);
    lamp.title = SIGN[level];
    sentence.textContent = text;
    sentence.title = text;
    why.disabled = !state.why.length;
    measure.disabled = !state.measures;
    cures.disabled = !state.remedies.length;
    if ((open.name === "why" && why.disabled) || (open.name === "cures" && cures.disabled)) open.name = null;
    why.setAttribute("aria-expanded", String(open.name === "why"));
    cures.setAttribute("aria-expanded", String(open.name === "cures"));
    sheet.hidden = !open.name;
    const now = JSON.stringify([open.name, open.name === "why" ? state.why : state.remedies]);
    if (!open.name || now === shown) return;
    shown = now;
    const focused = sheet.contains(document.activeElement);
    sheet.replaceChildren();
    if (open.name === "why") for (const [text, source, link] of state.why) reason(sheet, text, source, link);
    else
      for (const [name, text, source, link, step] of state.remedies) {
        const line = make("div", "naslab-remedy", sheet);
        const fork = make("button", "naslab-button", line, name);
        fork.type = "button";
        fork.title = `Fork after step ${step}, and play it`;
        fork.addEventListener("click", () => {
          send({ do: "remedy", name });
          open.name = null;
          cures.focus();
          redraw();
        });
        reason(line, `After step ${step}: ${text}`, source, link);
      }
    if (focused) (/** @type {HTMLElement | null} */ (sheet.querySelector("button, a")) || (open.name === "why" ? why : cures)).focus();
  };
}

/**
 * @param {HTMLElement} parent
 * @param {string} sentence
 * @param {string} source
 * @param {string} link
 */
function reason(parent, sentence, source, link) {
  const line = make("p", "", parent);
  make("span", "", line, `${sentence} `);
  const paper = make(link ? "a" : "span", "", line, source);
  if (link) Object.assign(paper, { href: link, target: "_blank", rel: "noopener" });
}
