// The whole view: status line, legend, a card for each part (graph and curves), the figures, the log.

import { alphaViews } from "./alpha.js";
import { cellView } from "./cell.js";
import { curvesView } from "./curves.js";
import { follow, hue, keepKeys, make, makeTooltip } from "./shared.js";
import { keepDrawn, logView, notesView } from "./status.js";

function render({ model, el }) {
  const { operations, parts, charts, metrics, width, notes } = model.get("description");
  const root = make("div", "naslab", el);
  keepKeys(root);
  const tooltip = makeTooltip(root);
  const views = [];
  let focus = null;

  const legend = make("div", "naslab-legend", root);
  const chips = operations.map((operation, index) => {
    const chip = make("span", "", legend);
    make("i", "", chip);
    make("span", "", chip, operation.name);
    chip.addEventListener("mouseenter", () => ((focus = index), page.redraw()));
    chip.addEventListener("mouseleave", () => ((focus = null), page.redraw()));
    return chip;
  });

  const grid = make("div", `naslab-parts naslab-parts-${parts.length}`, root);
  for (const part of parts) {
    const card = make("section", "naslab-card", grid);
    make("h4", "", card, part.name === "cell" ? "cell" : `${part.name} cell`);
    views.push(cellView(card, part, operations, tooltip), ...alphaViews(card, part, operations, tooltip));
  }
  if (charts.length) views.push(curvesView(make("section", "naslab-card", root), charts, metrics, tooltip));
  notesView(root, notes);
  views.push(logView(root));

  const page = keepDrawn(root, (theme) => {
    chips.forEach((chip, i) => (chip.firstChild.style.background = hue(operations[i], theme)));
    root.dataset.moving = stream.state.status.state === "running";
    for (const draw of views) draw(stream.state, theme, focus);
    stream.drawn();
  });
  const stream = follow(model, width, page.redraw);
  return () => {
    stream.close();
    page.close();
  };
}

export default { render };
