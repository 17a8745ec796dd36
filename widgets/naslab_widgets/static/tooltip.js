// The tooltip of a view.

import { zoomOf } from "./canvas.js";
import { make } from "./elements.js";
/** @import { Tooltip } from "./types.js" */

/**
 * Makes a tooltip, which keeps inside the view; its first line is the heading.
 * @param {HTMLElement} root
 * @returns {Tooltip}
 */
export function makeTooltip(root) {
  const box = make("div", "naslab-tooltip", root);
  return {
    show(event, lines) {
      box.replaceChildren();
      for (const { text, colour, strong } of lines) {
        const line = make("div", strong ? "naslab-strong" : "", box);
        if (colour) make("i", "", line).style.background = colour;
        make("span", "", line, text);
      }
      box.style.display = "block";
      const frame = root.getBoundingClientRect();
      const zoom = zoomOf(root);
      const x = (event.clientX - frame.left) / zoom;
      const y = (event.clientY - frame.top) / zoom;
      box.style.left = `${Math.max(0, x + 14 + box.offsetWidth > frame.width / zoom ? x - box.offsetWidth - 10 : x + 14)}px`;
      box.style.top = `${Math.max(0, Math.min(y + 12, frame.height / zoom - box.offsetHeight))}px`;
    },
    hide() {
      box.style.display = "none";
    },
  };
}
