// Below the operations of an edge: the edge itself, its shapes, gradients and feature maps.

import { make } from "./elements.js";
/** @import { Anatomy, EdgePlace, EdgeSheetState, FeatureMaps, Operation, Send } from "./types.js" */

/**
 * Buttons that drop the edge or measure it, and what was measured.
 * @param {HTMLElement} foot
 * @param {{operations: Operation[], ask: Send}} context
 * @returns {(shown: {sheet: EdgeSheetState, shown: EdgePlace, of: Anatomy | undefined, dropped: boolean}) => void}
 */
export function footView(foot, { operations, ask }) {
  const shapes = make("div", "naslab-sheet-shapes", foot);
  const row = make("div", "naslab-sheet-buttons", foot);
  /** @type {(text: string, title: string, does: () => void) => HTMLButtonElement} */
  const button = (text, title, does) => {
    const made = make("button", "naslab-small", row, text);
    made.type = "button";
    made.title = title;
    made.addEventListener("click", does);
    return made;
  };
  /** @type {{dropped: boolean}} */
  let latest = { dropped: false };
  const drop = button("drop this edge", "leave the whole edge out, from the next step on", () => ask({ do: latest.dropped ? "undrop" : "drop" }));
  const gradients = button("gradients", "which way the loss pulls each operation now, and how strongly its weights move: one pass on a copy", () => ask({ do: "gradients" }));
  const maps = button("maps of image", "what each operation makes of one training image: one pass on a copy", () => ask({ do: "maps", example: Number(which.value) }));
  const which = make("input", "naslab-small", row);
  Object.assign(which, { type: "number", min: 0, max: 255, value: 7 });
  which.setAttribute("aria-label", "number of the training image");
  const sheet = make("div", "naslab-maps", foot);
  /** @type {FeatureMaps | null} */
  let drawn = null;

  /** @type {(found: FeatureMaps | null) => void} */
  function drawMaps(found) {
    if (found === drawn) return;
    drawn = found;
    sheet.replaceChildren();
    if (!found) return;
    const [width, height] = found.size;
    const names = make("div", "naslab-maps-names", sheet);
    for (const text of ["reads", ...found.operations.map((operation) => operations[operation].name)]) make("span", "", names, text).title = text;
    const canvas = make("canvas", "", sheet);
    Object.assign(canvas, { width, height });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `feature maps of image ${found.example}: a row an operation, a column a channel`);
    const image = new ImageData(width, height);
    const grey = atob(found.grey);
    for (let i = 0; i < grey.length; i += 1) image.data.set([grey.charCodeAt(i), grey.charCodeAt(i), grey.charCodeAt(i), 255], 4 * i);
    canvas.getContext("2d")?.putImageData(image, 0, 0);
  }

  return function draw({ sheet: state, shown, of, dropped }) {
    latest = { dropped };
    drop.textContent = dropped ? "take it in again" : "drop this edge";
    drop.setAttribute("aria-pressed", String(dropped));
    drop.dataset.pending = String(dropped !== state.now.dropped[shown.part].includes(shown.edge));
    const where = of && of.cells > 1 ? ` in the first of ${of.cells} cells` : "";
    shapes.textContent = of && of.reads.length ? `reads ${of.reads.join(" × ")}, gives ${of.gives.join(" × ")}${where}` : state.busy.includes("anatomy") ? "measuring …" : "";
    gradients.disabled = state.busy.includes("gradients");
    const pictures = of && of.reads.length === 3;
    maps.style.display = which.style.display = pictures ? "" : "none";
    maps.disabled = state.busy.includes("maps");
    const found = state.maps && state.maps.part === shown.part && state.maps.edge === shown.edge ? state.maps : null;
    drawMaps(found);
    sheet.style.display = found ? "" : "none";
  };
}
