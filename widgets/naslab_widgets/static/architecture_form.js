// Proposes an architecture: a candidate's once more, or one written by the reader.

import { make } from "./elements.js";
/** @import { CandidateFacts, CandidateState, Send } from "./types.js" */

/**
 * Two buttons, and a form that opens with the candidate's own architecture.
 * @param {HTMLElement} row
 * @param {HTMLElement} box
 * @param {Send} send
 * @param {() => CandidateFacts | null} of
 * @returns {(state: Pick<CandidateState, "done">) => void}
 */
export function architectureForm(row, box, send, of) {
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
  /** @type {number | null} */
  let done = null;
  /** @type {(shown: boolean) => void} */
  const show = (shown) => {
    form.style.display = shown ? "" : "none";
    box.dataset.writing = String(shown);
    open.setAttribute("aria-expanded", String(shown));
  };
  again.addEventListener("click", () => send({ do: "again", candidate: of()?.candidate }));
  open.addEventListener("click", () => {
    const shown = form.style.display === "none";
    if (shown) field.value = of()?.text ?? "";
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
    if (done !== null && state.done !== done) show(false); // Python has accepted it
    done = state.done;
  };
}
