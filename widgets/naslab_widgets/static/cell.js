// One cell as a graph: every searched edge in the colour of its strongest operation, the derived cell named.

import { hue } from "./canvas.js";
import { shape } from "./elements.js";
/** @import { Cursor, Operation, Part, Row, Shown, Theme, Tooltip } from "./types.js" */

/**
 * A click selects an edge in the panel's `cursor`; `number` is the part's.
 * @param {HTMLElement} parent
 * @param {Part} part
 * @param {Operation[]} operations
 * @param {Tooltip} tooltip
 * @param {{cursor?: Cursor | null, number?: number}} [options]
 * @returns {(shown: Shown, theme: Theme, focus: number | null) => void}
 */
export function cellView(parent, part, operations, tooltip, { cursor = null, number = 0 } = {}) {
  const [width, height] = part.size;
  const root = shape("svg", { class: "naslab-cell", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${part.name} cell` }, parent);
  const halos = shape("g", { fill: "none", "stroke-linecap": "round" }, root); // around edges where other searches keep something else
  const ring = cursor && ringView(root);
  const hits = shape("g", {}, root); // wide invisible strokes, easier to hit than an edge
  const lines = shape("g", { fill: "none", "stroke-linecap": "round" }, root);
  const names = shape("g", {}, root);
  const dots = shape("g", {}, root);
  /** @type {{row: Row, theme: Theme, otherwise: string[][]}} */
  let latest;

  const edges = part.edges.map(({ path, label, row }) => {
    if (row < 0) return shape("path", { d: path, class: "naslab-fixed" }, lines) && null;
    const halo = shape("path", { d: path, class: "naslab-halo" }, halos);
    const line = shape("path", { d: path, class: "naslab-edge" }, lines);
    const hit = cursor && shape("path", { d: path, class: "naslab-hit" }, hits);
    const group = shape("g", { class: "naslab-name", transform: `translate(${label[0]} ${label[1]})` }, names);
    const box = shape("rect", { y: -7.5, height: 15, rx: 4 }, group);
    const text = shape("text", { y: 3.5 }, group);
    for (const target of hit ? [line, group, hit] : [line, group]) {
      target.addEventListener("mousemove", (event) => hover(event, row));
      target.addEventListener("mouseleave", tooltip.hide);
      if (cursor) target.addEventListener("click", () => pick(row));
    }
    if (cursor) reach(line, row, path);
    return { row, halo, line, group, box, text };
  });

  if (cursor) {
    root.setAttribute("role", "group");
    root.classList.add("naslab-pickable");
    root.dataset.part = String(number);
  }

  /** @type {(row: number) => void} */
  const pick = (row) => cursor?.set({ selected: { part: part.name, edge: row } });
  /** @type {(row: number) => boolean} */
  const isPicked = (row) => cursor?.selected?.part === part.name && cursor.selected.edge === row;

  // Tab and the arrow keys move between edges, Enter selects one, Esc deselects.
  /** @type {(line: SVGElement, row: number, path: string) => void} */
  function reach(line, row, path) {
    line.dataset.row = String(row);
    line.setAttribute("tabindex", "0");
    line.setAttribute("role", "button");
    line.addEventListener("focus", () => line.matches(":focus-visible") && ring?.focus(path));
    line.addEventListener("blur", () => ring?.focus(null));
    line.addEventListener("keydown", (event) => {
      const next = nextEdge(row, event.key, part.labels.length);
      if (next !== null) {
        edges.find((edge) => edge?.row === next)?.line.focus();
        if (cursor?.selected) pick(next);
      } else if (event.key === "Enter" || event.key === " ") pick(row);
      else if (event.key === "Escape" && cursor?.selected) cursor.set({ selected: null });
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  for (const { label, at, role } of part.nodes) {
    const group = shape("g", { class: `naslab-node naslab-${role}`, transform: `translate(${at[0]} ${at[1]})` }, dots);
    shape("circle", { r: 15 }, group);
    shape("text", { y: 4, "font-size": label.length > 4 ? 8 : 11 }, group).textContent = label;
  }

  /** @type {(row: number, operation: number) => number} */
  const chance = (row, operation) => latest.row[part.probabilities + row * operations.length + operation];

  /** @type {(event: MouseEvent, row: number) => void} */
  function hover(event, row) {
    if (!latest) return;
    const order = operations.map((_, i) => i).sort((a, b) => chance(row, b) - chance(row, a));
    const kept = latest.row[part.kept + row];
    tooltip.show(event, [
      { text: `${part.name}  ${part.labels[row]}  ·  ${kept < 0 ? "dropped" : "kept"} at step ${latest.row[0]}`, strong: true },
      ...order.map((i) => ({
        text: `${chance(row, i).toFixed(3)}  ${operations[i].name}`,
        colour: hue(operations[i], latest.theme),
        strong: i === kept,
      })),
      ...latest.otherwise[row].map((text) => ({ text: `≠ ${text}` })),
    ]);
  }

  // 0 at a uniform share, 1 for all of it; the square root makes the first small steps away from uniform visible.
  /** @type {(share: number) => number} */
  const strength = (share) => Math.sqrt(Math.min(1, Math.max(0, Math.log(share * operations.length) / Math.log(Math.max(2, operations.length)))));

  return function draw({ rows, moment = rows[rows.length - 1], otherwise = part.labels.map(() => []) }, theme, focus) {
    root.dataset.step = String(moment ? moment[0] : 0);
    if (!moment) return;
    latest = { row: moment, theme, otherwise };
    ring?.select(null);
    for (const edge of edges) {
      if (!edge) continue;
      const kept = latest.row[part.kept + edge.row];
      let strongest = kept;
      if (kept < 0) {
        strongest = 0;
        for (let i = 1; i < operations.length; i++) if (chance(edge.row, i) > chance(edge.row, strongest)) strongest = i;
      }
      const colour = hue(operations[strongest], theme);
      const lit = focus === null || focus === strongest;
      edge.line.style.stroke = colour;
      edge.line.style.strokeWidth = String(1.5 + 5 * strength(chance(edge.row, strongest)));
      edge.line.style.strokeOpacity = String((kept < 0 ? 0.22 : 0.92) * (lit ? 1 : 0.25));
      edge.line.dataset.kept = String(kept >= 0);
      if (cursor) {
        if (isPicked(edge.row)) ring?.select(edge.line.getAttribute("d"), parseFloat(edge.line.style.strokeWidth));
        edge.line.setAttribute("aria-pressed", String(isPicked(edge.row)));
        edge.line.setAttribute("aria-label", `${part.name} ${part.labels[edge.row]}: ${operations[strongest].name} ${chance(edge.row, strongest).toFixed(2)}, ${kept < 0 ? "not kept" : "kept"}`);
      }
      edge.group.style.display = kept < 0 ? "none" : "";
      edge.group.style.opacity = String(lit ? 1 : 0.25);
      const differs = otherwise[edge.row].length > 0;
      const name = (differs ? "≠ " : "") + operations[strongest].name;
      if (kept >= 0 && edge.text.textContent !== name) edge.text.textContent = name;
      for (const marked of [edge.halo, edge.group]) marked.dataset.differs = String(differs);
      const room = (differs ? 6.6 : 5.7) * name.length + 9;
      edge.box.setAttribute("x", String(-room / 2));
      edge.box.setAttribute("width", String(room));
      edge.box.style.stroke = colour;
    }
  };
}

/**
 * Rings around the selected edge and around the one with the keyboard focus.
 * @param {SVGElement} root
 * @returns {{select: (path: string | null, width?: number) => void, focus: (path: string | null) => void}}
 */
function ringView(root) {
  const selected = shape("path", { class: "naslab-ring" }, root);
  const gap = shape("path", { class: "naslab-ring-gap" }, root);
  const focused = shape("path", { class: "naslab-focus-ring", "stroke-width": 12 }, root);
  return {
    select(path, width = 0) {
      for (const { line, more } of [{ line: selected, more: 8 }, { line: gap, more: 4 }]) {
        line.style.display = path ? "" : "none";
        if (path) line.setAttribute("d", path);
        line.setAttribute("stroke-width", String(width + more));
      }
    },
    focus(path) {
      focused.style.display = path ? "" : "none";
      if (path) focused.setAttribute("d", path);
    },
  };
}

/**
 * The edge that an arrow key leads to, cyclically; null for another key.
 * @param {number} edge
 * @param {string} key
 * @param {number} count
 * @returns {number | null}
 */
export function nextEdge(edge, key, count) {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key];
  return by === undefined ? null : (edge + by + count) % count;
}
