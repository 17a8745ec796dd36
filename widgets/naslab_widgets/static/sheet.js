// A sheet that lies over the pictures.

import { make } from "./elements.js";

/**
 * Makes a sheet, which is closed at first; `close` is its button.
 * @param {HTMLElement} parent
 * @param {string} className
 * @returns {{box: HTMLElement, title: HTMLElement, close: HTMLButtonElement}}
 */
export function makeSheet(parent, className) {
  const box = make("aside", `naslab-sheet ${className}`.trim(), parent);
  box.style.display = "none";
  const head = make("div", "naslab-sheet-head", box);
  const title = make("h4", "", head);
  const close = make("button", "naslab-small", head, "×");
  close.title = "Close (Esc)";
  close.setAttribute("aria-label", "close");
  return { box, title, close };
}
