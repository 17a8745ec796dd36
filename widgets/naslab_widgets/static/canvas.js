// Helpers for drawing on a canvas: theme colours, screen resolution, texts cut to fit, the line of a moment.

/** @import { Colours, Pen, Theme } from "./types.js" */

/**
 * The colours and the font that CSS resolves for an element, and whether its ground is dark.
 * @param {Element} element
 * @returns {Theme}
 */
export function readTheme(element) {
  const css = getComputedStyle(element);
  const [red, green, blue] = (css.backgroundColor.match(/[\d.]+/g) || [255, 255, 255]).map(Number);
  return { text: css.color, ground: css.backgroundColor, dark: 0.3 * red + 0.6 * green + 0.1 * blue < 128, font: css.fontFamily };
}

/**
 * The colour of an operation, or of a search, on the ground of the page.
 * @param {{ colours: Colours }} operation
 * @param {Pick<Theme, "dark">} theme
 * @returns {string}
 */
export const hue = (operation, theme) => operation.colours[theme.dark ? 1 : 0];

/**
 * The CSS zoom of an element and its ancestors.
 * @param {HTMLElement} element
 * @returns {number}
 */
export const zoomOf = (element) => element.currentCSSZoom || 1;

/**
 * Sizes a canvas to the resolution of the screen and clears it; one unit of the returned context is one CSS pixel.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @returns {Pen}
 */
export function sharp(canvas, width, height) {
  const ratio = (window.devicePixelRatio || 1) * zoomOf(canvas);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  const pen = /** @type {Pen} */ (canvas.getContext("2d"));
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

/**
 * The text, cut with an ellipsis to a width in pixels.
 * @param {Pick<Pen, "measureText">} pen
 * @param {string} text
 * @param {number} room In pixels.
 * @returns {string}
 */
export function fitted(pen, text, room) {
  if (pen.measureText(text).width <= room) return text;
  let end = text.length;
  while (end > 1 && pen.measureText(`${text.slice(0, end)}…`).width > room) end -= 1;
  return `${text.slice(0, end).trimEnd()}…`;
}

// Reserved for earlier moments: nothing else has this colour.
export const VIOLET = ["#7c3aed", "#b197fc"];

/**
 * The vertical line through a chart at the moment that is shown.
 * @param {Pen} pen
 * @param {number} x
 * @param {number} top
 * @param {number} bottom
 * @param {Theme} theme
 */
export function cursorLine(pen, x, top, bottom, theme) {
  pen.save();
  pen.setLineDash([]);
  pen.globalAlpha = 1;
  pen.fillStyle = VIOLET[theme.dark ? 1 : 0];
  pen.fillRect(Math.round(x) - 0.75, top, 1.5, bottom - top);
  pen.restore();
}
