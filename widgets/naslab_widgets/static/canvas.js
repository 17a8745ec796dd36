// What every canvas needs: the theme of the page, a bitmap as sharp as the screen, texts that fit, the line of a moment.

/** @import { Colours, Pen, Theme } from "./types.js" */

/**
 * Text and ground as CSS resolved them; dark if the ground is.
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
 * By how much an element is enlarged on the page, by itself or what it is in.
 * @param {HTMLElement} element
 * @returns {number}
 */
export const zoomOf = (element) => element.currentCSSZoom || 1;

/**
 * A canvas as sharp as the screen; returns its context, scaled so that one unit is one CSS pixel.
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
 * As much of a text as there is room for.
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

export const VIOLET = ["#7c3aed", "#b197fc"]; // of all that tells of looking back; nothing else has this colour

/**
 * One line through a chart at the moment that one looks back to.
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
