// The interventions in a search: one line that opens to a list, with buttons that undo each.

import { make } from "./elements.js";
/** @import { DrawSection, Intervention, LedgerState, SectionContext } from "./types.js" */

/**
 * "no interventions yet", "1 intervention", "3 interventions, 1 waits for its step".
 * @param {Pick<Intervention, "pending">[]} rows
 * @param {number} count
 * @returns {string}
 */
export function interventionsText(rows, count) {
  const waiting = rows.filter((row) => row.pending).length;
  const done = count === 0 ? "no interventions yet" : count === 1 ? "1 intervention" : `${count} interventions`;
  const waits = waiting === 1 ? "1 waits for its step" : `${waiting} wait for their step`;
  return waiting ? `${done}, ${waits}` : done;
}

/**
 * The last intervention that neither is undone nor undoes another: what Ctrl+Z undoes.
 * @template {Pick<Intervention, "undone" | "undoes">} I
 * @param {I[]} rows
 * @returns {I | undefined}
 */
export const lastStanding = (rows) => rows.findLast((row) => row.undone === null && row.undoes === null);

/**
 * The text of a program whose lines come in pieces.
 * @param {string[][]} lines
 * @returns {string}
 */
export const programText = (lines) => lines.map((pieces) => `${pieces.join("")}\n`).join("");

/**
 * One line, which opens to a row for each intervention.
 * @param {HTMLElement} parent
 * @param {Pick<SectionContext, "send" | "cursor"> & Partial<Pick<SectionContext, "places">>} context
 * @returns {DrawSection}
 */
export function ledgerSection(parent, { send, cursor, places }) {
  const box = make("div", "naslab-ledger", parent);
  const head = make("div", "naslab-ledger-head", places?.doing || box);
  /** @type {(where: HTMLElement, name: string, sign: string, label: string, title: string) => HTMLButtonElement} */
  const button = (where, name, sign, label, title) => {
    const made = make("button", `naslab-small naslab-${name}`, where);
    if (sign) make("span", "", made, sign).setAttribute("aria-hidden", "true");
    if (label) make("span", "", made, label);
    made.type = "button";
    made.title = title;
    if (!label) made.setAttribute("aria-label", title);
    return made;
  };
  const open = button(head, "ledger-open", "▸", "no interventions yet", "Show what was done to this search");
  open.setAttribute("aria-expanded", "false");
  const last = make("span", "naslab-ledger-last", head);
  const undo = button(head, "ledger-undo", "↶", "undo", "Undo the last intervention from the next step on (Ctrl+Z)");
  const redo = button(head, "ledger-redo", "↷", "redo", "Take the last undo back");
  const copy = button(head, "ledger-copy", "", "copy as script", "A Python program that does this search again, bit for bit");
  const rows = make("div", "naslab-ledger-rows", box);
  rows.setAttribute("role", "list");
  rows.hidden = true;
  const program = make("div", "naslab-ledger-program", box);
  program.hidden = true;
  const news = make("span", "", program);
  const text = make("textarea", "", program);
  text.readOnly = true;
  text.rows = 8;
  text.setAttribute("aria-label", "the search as a program");
  const shut = button(program, "ledger-shut", "", "close", "Put the program away");

  open.addEventListener("click", () => {
    rows.hidden = !rows.hidden;
    open.setAttribute("aria-expanded", String(!rows.hidden));
    /** @type {ChildNode} */ (open.firstChild).textContent = rows.hidden ? "▸" : "▾";
  });
  undo.addEventListener("click", () => send({ do: "undo" }));
  redo.addEventListener("click", () => send({ do: "redo" }));
  copy.addEventListener("click", () => send({ do: "script" }));
  shut.addEventListener("click", () => {
    program.hidden = true;
    send({ do: "shut" });
    copy.focus();
  });

  // Ctrl+Z works anywhere on the panel except in fields with their own undo.
  /** @type {(target: Element) => boolean} */
  const typed = (target) => target.matches("textarea, input:not([type]), input[type=text], input[type=number]");
  let stood = false;
  /** @type {(event: KeyboardEvent) => void} */
  const key = (event) => {
    if (!box.isConnected) {
      if (stood) document.removeEventListener("keydown", key, true);
      return;
    }
    stood = true;
    const panel = box.closest(".naslab-lab") || parent;
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.key.toLowerCase() !== "z") return;
    if (!(event.target instanceof Element) || !panel.contains(event.target) || typed(event.target)) return;
    event.preventDefault();
    event.stopPropagation();
    const next = event.shiftKey ? redo : undo;
    if (!next.disabled) next.click();
  };
  document.addEventListener("keydown", key, true);

  let asked = 0;
  let drawn = "";
  return function draw(/** @type {LedgerState} */ state, status) {
    const newest = lastStanding(state.rows);
    const over = status.state === "stopped";
    /** @type {ChildNode} */ (open.lastChild).textContent = interventionsText(state.rows, state.count);
    last.textContent = state.rows.at(-1)?.sentence ?? "";
    last.title = last.textContent;
    undo.disabled = over || !newest || !newest.undoable;
    undo.title = newest && newest.why_not ? newest.why_not : "Undo the last intervention from the next step on (Ctrl+Z)";
    redo.disabled = over || !state.rows.some((row) => row.undoes !== null && row.undone === null);
    if (state.script.asked !== asked) {
      asked = state.script.asked;
      if (state.script.lines.length) show(programText(state.script.lines));
    }
    const key = JSON.stringify([state.rows, over]);
    if (key === drawn) return; // rebuilding would lose the focus
    drawn = key;
    rows.replaceChildren(...state.rows.toReversed().map((row) => line(row, over)));
  };

  /** @type {(row: Intervention, over: boolean) => HTMLElement} */
  function line(row, over) {
    const item = make("div", "naslab-ledger-row");
    item.setAttribute("role", "listitem");
    item.dataset.number = String(row.number);
    item.dataset.state = row.pending ? "pending" : row.undone === null ? "standing" : "undone";
    const at = button(item, "ledger-step", "", `step ${row.step}`, row.pending ? "Acts with the next step" : "Look at the moment before it");
    at.disabled = row.pending;
    at.addEventListener("click", () => cursor.set({ at: row.step - 1 }));
    make("span", "naslab-ledger-mark", item, row.pending ? "○" : "●").title = row.pending ? "its step is not done yet" : "";
    make("span", "naslab-ledger-sentence", item, `${row.number}. ${row.sentence}`);
    make("span", "naslab-ledger-who", item, row.undone === null ? row.who : `${row.who}, undone by ${row.undone}`);
    const back = button(item, "ledger-back", "↶", "", row.why_not || (row.pending ? `Take ${row.number} back` : `Undo ${row.number} from the next step on`));
    back.disabled = over || !row.undoable;
    back.addEventListener("click", () => send({ do: "undo", number: row.number }));
    const never = button(item, "ledger-without", "", "without", `Fork before ${row.number}, as if it had not been`);
    never.disabled = over || row.pending;
    never.addEventListener("click", () => send({ do: "without", number: row.number }));
    return item;
  }

  /** @type {(source: string) => void} */
  function show(source) {
    text.value = source;
    program.hidden = false;
    news.textContent = "";
    /** @type {(words: string) => string} */
    const announce = (words) => (news.textContent = words);
    const failed = () => {
      text.focus();
      text.select();
      announce("The browser keeps its clipboard shut: the program is selected, copy it with Ctrl+C.");
    };
    if (!navigator.clipboard) return failed();
    navigator.clipboard.writeText(source).then(() => announce("Copied: a Python program that does this search again."), failed);
  }
}
