// The tree of branches: a row each, over one axis of steps, with a dot where it parted.

import { make } from "./elements.js";
/** @import { Branch, Status } from "./types.js" */

/**
 * The layout of each row: where its bar begins and ends, in per cent of the longest branch, and whether its name stands
 * before the bar because there is no room behind it.
 * @param {Pick<Branch, "step" | "total" | "parted" | "parent">[]} rows
 * @param {number} step
 * @returns {{from: number, to: number, dot: boolean, before: boolean, end: number}[]}
 */
export function treeRows(rows, step) {
  const ends = rows.map((row) => row.step ?? step);
  const longest = Math.max(1, ...rows.map((row) => row.total), ...ends);
  return rows.map((row, place) => {
    const from = (100 * row.parted) / longest;
    const to = Math.max(from, (100 * ends[place]) / longest);
    return { from, to, dot: row.parent !== null, before: to > 75 && from > 15, end: ends[place] };
  });
}

/**
 * The runs that are shown after a click: that branch alone or, with `add`, up to three; null if a fourth was clicked.
 * @param {Pick<Branch, "run" | "shown">[]} rows
 * @param {number} place
 * @param {boolean} add
 * @returns {string[] | null}
 */
export function shownAfter(rows, place, add) {
  const run = rows[place].run;
  const shown = rows.filter((row) => row.shown).map((row) => row.run);
  if (!add) return [run];
  if (shown.includes(run)) return shown.length > 1 ? shown.filter((one) => one !== run) : shown;
  return shown.length < 3 ? [...shown, run] : null;
}

/**
 * @param {Branch} row
 * @param {number} end
 * @returns {string}
 */
function branchSentence(row, end) {
  const steps = `steps ${row.parted + 1} to ${end}`;
  if (row.kind === "left") return `${row.name}: ${steps} were left behind by going back, and are abandoned`;
  const parted = row.parent === null ? "" : `, forked at step ${row.parted}`;
  const gone = row.kind === "gone" ? "; not open here" : "";
  return `${row.name}${parted}, at step ${end} of ${row.total}${gone}${row.where ? `\n${row.where}` : ""}`;
}

/**
 * @param {HTMLElement} tree
 * @param {Branch[]} rows
 * @param {Status} status
 * @param {(runs: string[]) => void} show
 */
export function drawTree(tree, rows, status, show) {
  tree.hidden = rows.length < 2;
  while (tree.children.length > rows.length) tree.lastChild?.remove();
  const places = treeRows(rows, status.step);
  rows.forEach((row, place) => {
    let line = /** @type {HTMLButtonElement} */ (tree.children[place]);
    if (!line) {
      line = make("button", "naslab-branch", tree);
      line.type = "button";
      make("i", "naslab-branch-bar", line);
      make("i", "naslab-branch-dot", line);
      make("span", "naslab-branch-name", line);
    }
    const { from, to, dot, before, end } = places[place];
    const [bar, point, name] = /** @type {HTMLCollectionOf<HTMLElement>} */ (line.children);
    line.dataset.kind = row.kind;
    line.disabled = row.kind !== "live";
    line.title = branchSentence(row, end);
    line.setAttribute("aria-label", line.title);
    line.setAttribute("aria-pressed", String(row.shown));
    Object.assign(bar.style, { left: `${from}%`, width: `${to - from}%` });
    point.hidden = !dot;
    point.style.left = `${from}%`;
    name.textContent = row.kind === "left" ? "abandoned" : row.name;
    name.style.left = before ? "" : `${Math.min(to, 88)}%`;
    name.style.right = before ? `${100 - from}%` : "";
    line.onclick = (event) => {
      const runs = shownAfter(rows, place, event.ctrlKey || event.metaKey);
      if (runs) show(runs);
    };
  });
}
