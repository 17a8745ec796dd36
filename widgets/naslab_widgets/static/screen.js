// The size of a panel: as the page has it, larger for the back row, or full screen.

import { make, shape } from "./elements.js";

export const SIZES = [1, 1.25, 1.5, 2];
const WIDTH = 980; // pixels at which a panel shows its cells side by side

/**
 * The zoom of a panel on a screen of this width: as large as its two columns allow.
 * @param {number} width
 * @returns {number}
 */
export const enlarged = (width) => Math.max(1, Math.min(2.5, Math.round((20 * width) / WIDTH) / 20));

/**
 * The size after this one; the first again after the last.
 * @param {number} size
 * @returns {number}
 */
export const nextSize = (size) => SIZES[(SIZES.indexOf(size) + 1) % SIZES.length];

/**
 * The buttons for a larger panel and the whole screen; returns a function that removes their listeners.
 * @param {HTMLElement} parent
 * @param {HTMLElement} root
 * @returns {() => void}
 */
export function screenButtons(parent, root) {
  const box = make("div", "naslab-screen", parent);
  const larger = make("button", "naslab-button", box, "A+");
  const full = make("button", "naslab-button", box);
  const icon = shape("svg", { viewBox: "0 0 14 14", width: 14, height: 14, "aria-hidden": "true" }, full);
  shape("path", { d: "M1 5V1H5M9 1H13V5M13 9V13H9M5 13H1V9", fill: "none", stroke: "currentColor", "stroke-width": 1.6 }, icon);
  larger.type = full.type = "button";
  larger.setAttribute("aria-label", "larger");
  full.setAttribute("aria-label", "full screen");
  full.title = "Full screen (F)";
  const panel = () => /** @type {HTMLElement} */ (root.closest(".naslab-lab") || root);
  let size = 1;

  function apply() {
    const box = panel();
    const alone = document.fullscreenElement === box;
    box.style.zoom = String(alone ? enlarged(window.innerWidth) * (size / SIZES[0]) : size);
    box.classList.toggle("naslab-alone", alone);
    larger.title = size === SIZES[SIZES.length - 1] ? "As large as the page has it" : "Larger, for the back row";
    larger.setAttribute("aria-pressed", String(size > 1));
    full.setAttribute("aria-pressed", String(alone));
  }

  larger.addEventListener("click", () => {
    size = nextSize(size);
    apply();
  });
  const toggle = () => (document.fullscreenElement ? document.exitFullscreen() : panel().requestFullscreen?.());
  full.addEventListener("click", toggle);
  /** @type {(event: KeyboardEvent) => void} */
  const press = (event) => {
    const typing = /** @type {Element} */ (event.target).matches?.("input, select, textarea");
    if (event.key.toLowerCase() === "f" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      toggle();
    }
  };
  root.addEventListener("keydown", press);
  document.addEventListener("fullscreenchange", apply);
  window.addEventListener("resize", apply);
  apply();
  return () => {
    document.removeEventListener("fullscreenchange", apply);
    window.removeEventListener("resize", apply);
  };
}
