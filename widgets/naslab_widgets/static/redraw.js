// Draws a view when something that it shows has changed.

import { readTheme } from "./canvas.js";
/** @import { Theme } from "./types.js" */

/**
 * Draws at most once a frame: on request, and when the size or the theme of the page changes.
 * @param {HTMLElement} root
 * @param {(theme: Theme) => void} draw
 * @returns {{redraw: () => void, close: () => void}}
 */
export function keepDrawn(root, draw) {
  let waiting = false;
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw(readTheme(root));
    });
  }
  const sizes = new ResizeObserver(redraw);
  sizes.observe(root);
  const themes = new MutationObserver(redraw);
  themes.observe(document.body, { attributes: true });
  redraw();
  return {
    redraw,
    close() {
      sizes.disconnect();
      themes.disconnect();
    },
  };
}
