// The view of a supernet's search: legend, a card for each part (graph and curves), the metrics, the log.

import { alphaViews } from "./alpha.js";
import { bus } from "./bus.js";
import { hue } from "./canvas.js";
import { cellView } from "./cell.js";
import { curvesView } from "./curves.js";
import { edgeSheetView } from "./edge_sheet.js";
import { keepKeys, make } from "./elements.js";
import { logView, notesView } from "./log.js";
import { momentOf } from "./moment.js";
import { paced, whenAtRest } from "./pace.js";
import { keepDrawn } from "./redraw.js";
import { followRows, momentRow } from "./rows.js";
import { makeTooltip } from "./tooltip.js";
/** @import { DrawLive, Go, LiveDescription, Send, Widget } from "./types.js" */

/**
 * @param {Widget} widget
 */
function render({ model, el }) {
  const { panel, operations, parts, charts, metrics, width, notes, sections } = /** @type {LiveDescription} */ (model.get("description"));
  const root = make("div", "naslab", el);
  keepKeys(root);
  const tooltip = makeTooltip(root);
  /** @type {Send} */
  const send = (message) => model.send({ type: "section", section: "sheet", ...message });
  /** @type {DrawLive[]} */
  const views = [];
  /** @type {DrawLive[]} */
  const slow = []; // canvases with a point for every step, drawn less often
  /** @type {number | null} */
  let focus = null;
  const cursor = bus(panel);
  /** @type {Go} */
  const go = (step) => cursor.set({ at: momentOf(step, stream.state.status.step) });

  const legend = make("div", "naslab-legend", root);
  const chips = operations.map((operation, index) => {
    const chip = make("span", "naslab-chip", legend);
    make("i", "", chip);
    make("span", "", chip, operation.name);
    if (sections.sheet?.everywhere) ruleEverywhere(chip, operation.name, index);
    chip.addEventListener("mouseenter", () => ((focus = index), page.redraw()));
    chip.addEventListener("mouseleave", () => ((focus = null), page.redraw()));
    return chip;
  });

  // Shift and click, or Shift and Enter, forbids an operation on every edge or allows it again.
  /** @type {(chip: HTMLElement, name: string, operation: number) => void} */
  function ruleEverywhere(chip, name, operation) {
    chip.tabIndex = 0;
    chip.setAttribute("role", "button");
    chip.title = `Shift-click: forbid ${name} everywhere, or allow it again`;
    const toggle = () => send({ do: stream.state.sections.sheet?.next.everywhere.includes(operation) ? "allow_everywhere" : "forbid_everywhere", operation });
    chip.addEventListener("click", (event) => event.shiftKey && toggle());
    chip.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !event.shiftKey) return;
      event.preventDefault();
      toggle();
    });
  }

  const grid = make("div", `naslab-parts naslab-parts-${parts.length}`, root);
  parts.forEach((part, number) => {
    const card = make("section", "naslab-card", grid);
    make("h4", "", card, part.name === "cell" ? "cell" : `${part.name} cell`);
    views.push(cellView(card, part, operations, tooltip, { cursor, number }));
    slow.push(...alphaViews(card, part, operations, tooltip, go, cursor));
  });
  if (charts.length) slow.push(curvesView(make("section", "naslab-card", root), charts, metrics, tooltip, go));
  notesView(root, notes);
  views.push(logView(root), edgeSheetView(root, grid, { parts, operations, about: sections.sheet, cursor, send, tooltip }));

  const page = keepDrawn(root, (theme) => {
    const rules = stream.state.sections.sheet;
    chips.forEach((chip, i) => {
      /** @type {HTMLElement} */ (chip.firstChild).style.background = hue(operations[i], theme);
      const [now, next] = rules ? [rules.now, rules.next].map(({ everywhere }) => everywhere.includes(i)) : [false, false];
      Object.assign(chip.dataset, { forbidden: next, pending: now !== next });
    });
    const moving = stream.state.status.state === "running" && cursor.at === null;
    root.dataset.moving = String(moving);
    const { rows, near } = stream.state;
    const { at } = cursor;
    const moment = momentRow(rows, near, at);
    slice.at(at, moment !== undefined && moment[0] !== at);
    const view = { ...stream.state, at, moment };
    const what = JSON.stringify([theme, focus, cursor.selected, rules, root.clientWidth]);
    light.draw(moving, what, view, theme, focus);
    pace.draw(moving, what, view, theme, focus);
    stream.drawn();
  });
  const stream = followRows(model, width, page.redraw);
  const slice = whenAtRest((step) => model.send({ type: "moment", step }));
  const light = paced(views, page.redraw, { period: 180 });
  const pace = paced(slow, page.redraw);
  const unsubscribe = cursor.on(page.redraw);
  return () => {
    unsubscribe();
    slice.close();
    light.close();
    pace.close();
    stream.close();
    page.close();
  };
}

export default { render };
