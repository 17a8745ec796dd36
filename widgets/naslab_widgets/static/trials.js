// The whole view of a search of trials: status, fitness and the chosen one side by side, families, decisions, table, log.

import { familyView } from "./family.js";
import { fitnessView } from "./fitness.js";
import { decisionsView, figuresView } from "./heat.js";
import { portraitView } from "./portrait.js";
import { keepKeys, make, makeTooltip, number } from "./shared.js";
import { keepDrawn, logView, notesView } from "./status.js";
import { followTrials } from "./stream.js";
import { supernetView } from "./supernet.js";
import { tableView } from "./table.js";

function render({ model, el }) {
  const description = model.get("description");
  const C = Object.fromEntries(description.columns.map((name, column) => [name, column]));
  const root = make("div", "naslab naslab-trials", el);
  keepKeys(root);
  const tooltip = makeTooltip(root);
  let chosen = null; // by a click; otherwise the best is shown
  let asked = null;
  let askedAt = -Infinity;
  let later = null;

  // A number chooses that trial, null the best; undefined only draws anew.
  function choose(number) {
    if (number !== undefined && number !== chosen) {
      chosen = number;
      ask(number ?? stream.state.status.best?.number ?? null);
    }
    page.redraw();
  }

  function ask(number) {
    [asked, askedAt] = [number, performance.now()];
    model.send({ type: "select", number, chosen: chosen !== null });
  }

  // Without a choice the picture follows the best, at most once a second.
  function followBest() {
    const best = stream.state.status.best?.number;
    if (chosen !== null || best === undefined || best === asked) return;
    const wait = askedAt + 1000 - performance.now();
    if (wait <= 0) ask(best);
    else later ??= setTimeout(() => ((later = null), followBest()), wait);
  }

  // Python keeps what is chosen, so that a reloaded page, or a second view, shows it too.
  function answered({ selected, chosen: clicked }) {
    asked = selected;
    chosen = clicked ? selected : null;
  }

  const main = make("div", "naslab-main", root);
  const card = (name, box = root) => make("section", `naslab-card ${name}`, box);
  const views = [
    fitnessView(card("naslab-fitness-card", main), C, description.truth, tooltip, choose),
    portraitView(card("naslab-portrait", main), C, description.truth, choose),
    supernetView(card("naslab-supernet-card"), description.hues),
    familyView(card("naslab-family-card"), C, description, tooltip, choose),
    figuresView(card("naslab-figures-card"), description.charts, tooltip),
    decisionsView(card("naslab-decisions-card"), tooltip),
    tableView(card("naslab-table-card"), C, description, choose),
  ];
  notesView(root, description.notes);
  const log = logView(root);

  const page = keepDrawn(root, (theme) => {
    followBest();
    for (const draw of views) draw(stream.state, theme, chosen);
    log(stream.state);
    root.dataset.chosen = chosen ?? "";
    stream.drawn();
  });
  const stream = followTrials(model, C, page.redraw, answered);
  return () => {
    clearTimeout(later);
    stream.close();
    page.close();
  };
}

export default { render };
