// Compose a cell: click an edge, click its operation, submit; the scores, and the machine at as many queries.

import { readTheme } from "./canvas.js";
import { cellEditor } from "./cell_editor.js";
import { keepKeys, make } from "./elements.js";
import { duel, scoreTable } from "./scores.js";
/** @import { Send, Widget } from "./types.js" */

/**
 * @param {Widget} widget
 */
function render({ model, el }) {
  const description = model.get("description");
  /** @type {Send} */
  const act = (message) => model.send(message);
  const root = make("div", "naslab", el);
  keepKeys(root);
  const grid = make("div", "naslab-compose", root);
  const editor = cellEditor(make("section", "naslab-card", grid), description, act);
  const results = make("section", "naslab-card", grid);
  const drawDuel = duel(results, description);
  const drawScores = scoreTable(results, description, act);
  const note = make("div", "naslab-said", root);
  note.setAttribute("role", "status");

  function draw() {
    const theme = readTheme(root);
    editor.draw(model.get("chosen"), theme);
    drawDuel(model.get("scores"), model.get("machine"), theme);
    drawScores(model.get("scores"));
    note.textContent = model.get("message") || "Which six operations make the best cell? Each submission is a query.";
  }
  editor.onChange(draw);
  const names = ["chosen", "scores", "machine", "message"].map((name) => `change:${name}`);
  for (const name of names) model.on(name, draw);
  const sizes = new ResizeObserver(draw);
  sizes.observe(root);
  const themes = new MutationObserver(draw);
  themes.observe(document.body, { attributes: true });
  return () => {
    for (const name of names) model.off(name, draw);
    sizes.disconnect();
    themes.disconnect();
  };
}

export default { render };
