// A cell whose edges are clicked to choose their operations.

import { hue } from "./canvas.js";
import { make, shape } from "./elements.js";
/** @import { ComposeDescription, Send, Theme } from "./types.js" */

/**
 * A cell, and a palette of operations for the edge that is selected.
 * @param {HTMLElement} parent
 * @param {ComposeDescription} description
 * @param {Send} act
 * @returns {{draw: (chosen: number[], theme: Theme) => void, onChange: (listener: () => void) => void}}
 */
export function cellEditor(parent, { operations, size, nodes, edges }, act) {
  make("h4", "", parent, "your cell: click an edge, then its operation");
  const root = shape("svg", { class: "naslab-cell", viewBox: `0 0 ${size[0]} ${size[1]}`, role: "group", "aria-label": "cell" }, parent);
  const palette = make("div", "naslab-palette", parent);
  let selected = 0;
  let redraw = () => {};
  const lines = shape("g", {}, root);
  const names = shape("g", {}, root);

  /** @type {(edge: number) => void} */
  function select(edge) {
    selected = edge;
    redraw();
  }

  const drawn = edges.map(({ path, label, name }, edge) => {
    const line = shape("path", { d: path, class: "naslab-edge" }, lines);
    const reach = shape("path", { d: path, class: "naslab-reach" }, lines);
    const group = shape("g", { class: "naslab-name", transform: `translate(${label[0]} ${label[1]})`, tabindex: 0, role: "button", "aria-label": `edge ${name}` }, names);
    const box = shape("rect", { y: -9, height: 18, rx: 5 }, group);
    const text = shape("text", { y: 3.5 }, group);
    for (const target of [reach, group]) target.addEventListener("click", () => select(edge));
    group.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      select(edge);
    });
    return { line, group, box, text };
  });
  for (const { label, at } of nodes) {
    const group = shape("g", { class: "naslab-node", transform: `translate(${at[0]} ${at[1]})` }, root);
    shape("circle", { r: 15 }, group);
    shape("text", { y: 4 }, group).textContent = label;
  }
  const buttons = operations.map((operation, number) => {
    const button = make("button", "", palette);
    button.type = "button";
    make("i", "", button);
    make("span", "", button, operation.name);
    button.addEventListener("click", () => act({ type: "choose", edge: selected, operation: number }));
    return button;
  });
  const submit = make("button", "naslab-submit", palette, "Submit");
  submit.type = "button";
  submit.addEventListener("click", () => act({ type: "submit" }));

  /** @type {(chosen: number[], theme: Theme) => void} */
  function draw(chosen, theme) {
    drawn.forEach(({ line, group, box, text }, edge) => {
      const operation = operations[chosen[edge]];
      const colour = hue(operation, theme);
      line.style.stroke = colour;
      line.style.strokeWidth = String(edge === selected ? 7 : 4);
      line.style.strokeDasharray = operation.name === "none" ? "2 7" : "";
      text.textContent = operation.name;
      const room = 6 * operation.name.length + 12;
      box.setAttribute("x", String(-room / 2));
      box.setAttribute("width", String(room));
      box.style.stroke = colour;
      group.classList.toggle("naslab-chosen", edge === selected);
    });
    buttons.forEach((button, number) => {
      /** @type {HTMLElement} */ (button.firstChild).style.background = hue(operations[number], theme);
      button.setAttribute("aria-pressed", String(chosen[selected] === number));
    });
  }
  return { draw, onChange: (f) => (redraw = f) };
}
