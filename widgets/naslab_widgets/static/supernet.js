// The supernet, drawn once by Python, with the child of the latest step highlighted.

import { make, placePicture } from "./elements.js";
/** @import { Colours, DrawTrials, Theme } from "./types.js" */

/**
 * The picture; Python sends the highlighted paths of each child.
 * @param {HTMLElement} parent
 * @param {Colours[]} hues
 * @returns {DrawTrials}
 */
export function supernetView(parent, hues) {
  const head = make("div", "naslab-head", parent);
  const title = make("h4", "", head);
  const caption = make("span", "naslab-facts", head);
  const picture = make("div", "naslab-picture naslab-supernet", parent);
  /** @type {string | null} */
  let base = null;
  let shown = "";

  // Python draws in the colours for a light ground.
  /** @type {(svg: string, theme: Theme) => string} */
  const coloured = (svg, theme) => (theme.dark ? hues.reduce((text, [light, dark]) => text.replaceAll(light, dark), svg) : svg);

  /** @type {(lit: string) => void} */
  function lay(lit) {
    const found = new DOMParser().parseFromString(`<svg xmlns="http://www.w3.org/2000/svg">${lit}</svg>`, "image/svg+xml");
    const root = picture.querySelector("svg");
    root?.querySelector(".naslab-lit")?.remove();
    const group = found.querySelector(".naslab-lit");
    if (root && group) root.append(document.importNode(group, true));
  }

  return function draw(state, theme) {
    const child = state.status.child;
    parent.style.display = child && state.supernet ? "" : "none";
    if (!child || !state.supernet) return;
    if (base !== state.supernet) {
      base = state.supernet;
      shown = "";
      placePicture(picture, base);
      picture.querySelector("svg")?.setAttribute("aria-label", "the supernet, and in it the child of the latest step");
    }
    const now = `${child.step} ${theme.dark}`;
    if (now === shown) return;
    shown = now;
    title.textContent = `the child of step ${child.step.toLocaleString("en")} in the supernet`;
    caption.textContent = child.said;
    lay(coloured(child.lit, theme));
    parent.dataset.step = String(child.step);
  };
}
