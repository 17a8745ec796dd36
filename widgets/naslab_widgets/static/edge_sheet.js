// The sheet of the edge that is selected: what each of its operations is worth and costs, and what can be done to it.

import { footView } from "./edge_foot.js";
import { operationView } from "./edge_operation.js";
import { curvesOf, LAST, leftOf, nudged, ruleOf } from "./edge_rules.js";
import { make } from "./elements.js";
import { makeSheet } from "./sheet.js";
/** @import { Cursor, DrawLive, EdgePlace, EdgeSheetAbout, Nudge, Operation, OperationLine, Part, RowsState, Send, Shown, Theme, Tooltip } from "./types.js" */

/**
 * The sheet of the edge that is selected in the panel's cursor.
 * @param {HTMLElement} root
 * @param {HTMLElement} over The cells that it lies over.
 * @param {{parts: Part[], operations: Operation[], about: EdgeSheetAbout | undefined, cursor: Cursor, send: Send, tooltip: Tooltip}} context
 * @returns {DrawLive}
 */
export function edgeSheetView(root, over, { parts, operations, about, cursor, send, tooltip }) {
  const { box, title, close } = makeSheet(root, "");
  close.addEventListener("click", () => cursor.set({ selected: null }));
  const caption = make("div", "naslab-op-figures naslab-sheet-caption", box);
  for (const [text, title] of [
    ["share", "drag the end of a bar to push its alpha"],
    ["so far", "the share, step by step"],
    ["weights", "parameters, in all cells of the part together"],
    ["× +", "multiply-adds for one example, in all cells of the part together"],
    ["sees", "pixels of what the edge reads that one pixel of the output depends on"],
  ])
    make("span", "", caption, text).title = title;
  const list = make("div", "naslab-ops", box);
  const note = make("div", "naslab-sheet-note", box);
  note.setAttribute("role", "status");
  const foot = make("div", "naslab-sheet-foot", box);
  /** @type {OperationLine[]} */
  let lines = [];
  /** @type {EdgePlace | null} */
  let open = null; // the edge that the lines belong to
  let refusal = ""; // a refusal by the page itself
  /** @type {[all: RowsState & Shown, theme: Theme]} */
  let latest; // what was drawn last
  let wanted = false; // whether costs and shapes were requested
  /** @type {Nudge | null} */
  let drag = null; // a nudge that is tried out and not requested yet

  const controls = footView(foot, { operations, ask: (message) => ask(message) });

  /** @type {Send} */
  function ask(message) {
    refusal = "";
    send({ ...message, ...open });
  }

  const selected = () => {
    const chosen = cursor.selected;
    if (!chosen) return null;
    const part = parts.findIndex(({ name }) => name === chosen.part);
    return part < 0 || !(chosen.edge < parts[part].labels.length) ? null : { part, edge: chosen.edge };
  };

  /** @type {(place: EdgePlace) => void} */
  function build({ part, edge }) {
    open = { part, edge };
    refusal = "";
    drag = null;
    const has = about ? about.has[part][edge] : operations.map((_, operation) => operation);
    list.replaceChildren();
    lines = has.map((operation) => operationView(list, operations[operation], operation, { about, tooltip, act, nudge }));
  }

  /** @type {(operation: number, name: string) => void} */
  function act(operation, name) {
    const rules = latest[0].sections.sheet?.next;
    if (!rules || !open) return;
    const rule = ruleOf(rules, open.part, open.edge, operation);
    const left = leftOf(rules, lines.map((line) => line.operation), open.part, open.edge);
    if (rule === "everywhere") refusal = "forbidden on every edge: Shift-click it in the legend to allow it again";
    else if (name === "forbid" && rule === "here") return ask({ do: "allow", operation });
    else if (name === "forbid" && left.length === 1 && left[0] === operation) refusal = LAST;
    else if (name === "lock" && left.length === 1 && left[0] === operation) return ask({ do: "unlock" });
    else return ask({ do: name, operation });
    draw(...latest);
  }

  // A number is tried out, null drops it, true requests it.
  /** @type {(operation: number, by: number | boolean | null) => void} */
  function nudge(operation, by) {
    if (by === true) {
      if (drag && drag.operation === operation && Math.abs(drag.by) > 1e-9) ask({ do: "nudge", operation, by: drag.by });
      drag = null;
    } else drag = typeof by === "number" ? { operation, by } : null;
    draw(...latest);
  }

  /** @type {(all: RowsState & Shown, theme: Theme) => void} */
  function draw(all, theme) {
    const found = selected();
    box.style.display = found ? "" : "none";
    if (!found) {
      open = null;
      return;
    }
    if (!open || open.part !== found.part || open.edge !== found.edge) build(found);
    const shown = found;
    const sheet = all.sections?.sheet;
    if (about && sheet && !sheet.anatomy && !sheet.busy.includes("anatomy") && !wanted) send({ do: "anatomy" });
    const { rows } = all;
    latest = [all, theme];
    wanted ||= Boolean(sheet);
    const part = parts[shown.part];
    placeSheet(box, over, root, shown.part, parts.length);
    const row = all.moment ?? rows[rows.length - 1] ?? null;
    const kept = row ? row[part.kept + shown.edge] : -1;
    const dropped = sheet !== undefined && sheet.next.dropped[shown.part].includes(shown.edge);
    const fate = dropped ? "left out" : !row ? "" : kept < 0 ? "not kept" : `kept: ${operations[kept].name}`;
    title.textContent = [`${part.name}, ${part.labels[shown.edge]}`, fate].filter(Boolean).join(", ");
    box.setAttribute("aria-label", title.textContent);
    box.dataset.edge = String(shown.edge);
    box.dataset.part = part.name;
    const start = part.probabilities + shown.edge * operations.length;
    const curves = curvesOf(rows, start, lines.map((line) => line.operation));
    const shares = row ? Array.from(row.subarray(start, start + operations.length)) : null;
    const tried = drag && shares ? nudged(shares, drag.operation, drag.by) : null;
    const of = sheet?.anatomy?.find((one) => one.part === shown.part && one.edge === shown.edge);
    lines.forEach((line, i) => line.draw({ theme, share: shares ? shares[line.operation] : NaN, tried: tried ? tried[line.operation] : null, drag, curve: curves[i], sheet, shown, of, at: i, left: sheet ? leftOf(sheet.next, lines.map((one) => one.operation), shown.part, shown.edge) : [] }));
    note.textContent = refusal || sheet?.refused || "";
    note.style.display = note.textContent ? "" : "none";
    foot.style.display = about ? "" : "none";
    if (about && sheet) controls({ sheet, shown, of, dropped });
  }

  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    event.preventDefault();
    event.stopPropagation();
    const was = open;
    cursor.set({ selected: null });
    const edge = root.querySelector(`.naslab-cell[data-part="${was?.part}"] .naslab-edge[data-row="${was?.edge}"]`);
    /** @type {SVGElement | null} */ (edge)?.focus();
  });
  return draw;
}

/**
 * Puts the sheet over the cell that the edge does not belong to, so that the edge stays in view.
 * @param {HTMLElement} box
 * @param {HTMLElement} over
 * @param {HTMLElement} root
 * @param {number} part
 * @param {number} count
 */
function placeSheet(box, over, root, part, count) {
  const left = count > 1 && part > 0 && /** @type {HTMLElement} */ (over.children[part]).offsetLeft > 0;
  const height = Math.max(240, root.clientHeight - over.offsetTop);
  const at = `${left}/${over.offsetTop}/${height}`;
  if (box.dataset.at === at) return;
  box.dataset.at = at;
  Object.assign(box.style, { left: left ? "0" : "auto", right: left ? "auto" : "0", top: `${over.offsetTop}px`, maxHeight: `${height}px` });
}
