// Elements of the page, HTML and SVG; every text stays text.

/**
 * Makes an element; `text` stays text.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} [className]
 * @param {ParentNode | null} [parent]
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, className, parent, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

/**
 * Makes an element of SVG.
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | number>} attributes
 * @param {ParentNode | null} [parent]
 * @returns {SVGElementTagNameMap[T]}
 */
export function shape(tag, attributes, parent) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  if (parent) parent.append(element);
  return element;
}

/**
 * Keeps keys pressed in here from JupyterLab's shortcuts. JupyterLab first matches the focused element against its rules and
 * only then asks the parents for this attribute, so every element that gets the focus carries it.
 * @param {HTMLElement} root
 */
export function keepKeys(root) {
  root.dataset.lmSuppressShortcuts = "true";
  root.tabIndex = -1; // so that a click beside all controls gives it the focus
  root.addEventListener("focusin", (event) => (/** @type {HTMLElement} */ (event.target).dataset.lmSuppressShortcuts = "true"));
}

/**
 * Places a drawing of Python's: parsed as XML, so that its texts stay texts.
 * @param {HTMLElement} box
 * @param {string | null | undefined} svg
 */
export function placePicture(box, svg) {
  box.replaceChildren();
  if (!svg) return;
  const root = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  if (root.nodeName === "svg") box.append(document.importNode(root, true));
}
